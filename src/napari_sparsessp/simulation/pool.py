"""A folder of simulated colonies, so that training reads and does not wait."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from napari_sparsessp.simulation.colony import Colony, simulate_colony


@dataclass(frozen=True, eq=False)
class PooledColony:
    """One colony on disk, memory-mapped float16.

    Attributes
    ----------
    seed : int
    brightfield : ndarray
        (V, D, H, W), V looks, each with mean 0 and standard deviation 1.
    fluorescence : ndarray
        (S, D, H, W), each structure z-scored over the whole stack.
    """

    seed: int
    brightfield: np.ndarray
    fluorescence: np.ndarray


def zscore_structures(colony: Colony) -> torch.Tensor:
    """Fluorescence (S, D, H, W) with mean 0 and standard deviation 1 a structure."""
    flat = colony.fluorescence.flatten(1)
    mean = flat.mean(1)[:, None, None, None]
    std = flat.std(1).clamp_min(1e-6)[:, None, None, None]
    return (colony.fluorescence - mean) / std


def _save(path: Path, array: torch.Tensor) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, array.to(torch.float16).cpu().numpy())
    partial.replace(path)


def fill_pool(
    folder: Path, seeds: Iterable[int], looks: int = 3, device: str = "cpu"
) -> Iterator[int]:
    """Simulate the seeds that are not in the folder yet; yields each when it is there.

    Parameters
    ----------
    folder : Path
        Made if it is missing; about 37 MB a colony.
    seeds : iterable of int
    looks : int
        Bright-field stacks per colony.
    device : str
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        target = folder / f"{seed}.fluorescence.npy"
        if not target.exists():
            colony = simulate_colony(seed, looks=looks, device=device)
            _save(folder / f"{seed}.brightfield.npy", colony.brightfield)
            _save(target, zscore_structures(colony))
        yield seed


def open_pool(folder: Path) -> list[PooledColony]:
    """All finished colonies of the folder, in the order of their seeds."""
    pool = []
    for path in folder.glob("*.fluorescence.npy"):
        seed = int(path.name.split(".")[0])
        pool.append(
            PooledColony(
                seed,
                np.load(folder / f"{seed}.brightfield.npy", mmap_mode="r"),
                np.load(path, mmap_mode="r"),
            )
        )
    return sorted(pool, key=lambda colony: colony.seed)

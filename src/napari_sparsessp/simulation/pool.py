"""A folder of simulated colonies, so that training reads and does not wait."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_sparsessp.files import atomic_write
from napari_sparsessp.simulation.colony import Colony, simulate_colony
from napari_sparsessp.simulation.fields import Grid


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


def save_colony(folder: Path, seed: int, colony: Colony) -> None:
    """Write a colony into a pool; it counts as there once its last file has its name.

    Raises
    ------
    OutputError
        It cannot be written, for example because the disk is full.
    """
    arrays = {
        "brightfield": colony.brightfield,
        "fluorescence": zscore_structures(colony),
    }
    for kind, array in arrays.items():
        path = pool_file(folder, seed, kind)
        with atomic_write(path, "colony") as part, part.open("wb") as file:
            np.save(file, array.to(torch.float16).cpu().numpy())


def pool_file(folder: Path, seed: int, kind: str = "fluorescence") -> Path:
    """Where an array of a colony lies; ``fluorescence`` is written last."""
    return folder / f"{seed}.{kind}.npy"


def fill_pool(
    folder: Path,
    seeds: Iterable[int],
    looks: int = 3,
    device: str = "cpu",
    shape: Grid | None = None,
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
    shape : tuple of int, optional
        (D, H, W) voxels; the simulator's own by default.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size: dict[str, Any] = {} if shape is None else {"shape": shape}
    for seed in seeds:
        if not pool_file(folder, seed).exists():
            colony = simulate_colony(seed, looks=looks, device=device, **size)
            save_colony(folder, seed, colony)
        yield seed


def open_colony(folder: Path, seed: int) -> PooledColony:
    """Map a finished colony into memory."""
    return PooledColony(
        seed,
        np.load(pool_file(folder, seed, "brightfield"), mmap_mode="r"),
        np.load(pool_file(folder, seed), mmap_mode="r"),
    )


def open_pool(folder: Path) -> list[PooledColony]:
    """All finished colonies of the folder, in the order of their seeds."""
    seeds = [int(path.name.split(".")[0]) for path in folder.glob("*.fluorescence.npy")]
    return [open_colony(folder, seed) for seed in sorted(seeds)]

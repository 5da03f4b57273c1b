"""Training patches: random place, random sparsity, random optics."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Queue

import numpy as np
import torch

from napari_sparsessp.networks.inputs import network_input
from napari_sparsessp.sparse import SparseView


@dataclass(frozen=True, eq=False)
class Pair:
    """One specimen to learn from, arrays possibly memory-mapped.

    Attributes
    ----------
    looks : ndarray
        (V, D, H, W) transmitted-light stacks of it, each z-scored.
    targets : ndarray
        (S, D, H, W), each structure z-scored.
    """

    looks: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class PatchRecipe:
    """How patches are cut and varied.

    Attributes
    ----------
    depth, height, width : int
        Size of a patch in voxels.
    ratios : tuple of int
        Sparsity ratios, drawn uniformly.
    noise : tuple of float
        Range of camera noise (standard deviations of the stack), drawn on a log scale.
    gain : float
        Contrast is multiplied by 2^u, u uniform in ±gain.
    tilt : float
        Power spectrum is multiplied by f^u, u uniform in ±2 tilt.
    clutter : float
        Another part of the stack, turned around, is added with a weight uniform
        between 0 and this: light that no structure of the patch explains.
    thin : float
        Share of patches whose stack ends inside the window.
    """

    depth: int = 32
    height: int = 128
    width: int = 128
    ratios: tuple[int, ...] = (1, 2, 4, 8)
    noise: tuple[float, float] = (0.01, 0.5)
    gain: float = 0.4
    tilt: float = 0.5
    clutter: float = 0.4
    thin: float = 0.1


def _tilted(planes: torch.Tensor, tilt: float) -> torch.Tensor:
    """Multiply the lateral spectrum by f^tilt, variance kept."""
    h, w = planes.shape[-2:]
    fy = torch.fft.fftfreq(h)[:, None]
    fx = torch.fft.rfftfreq(w)[None]
    radius = torch.sqrt(fy**2 + fx**2).clamp_min(0.5 / max(h, w))
    shaped = torch.fft.irfft2(
        torch.fft.rfft2(planes) * (radius / 0.07) ** tilt, s=(h, w)
    )
    return shaped * (planes.std() / shaped.std().clamp_min(1e-6))


def _view(n_planes: int, recipe: PatchRecipe, rng: np.random.Generator) -> SparseView:
    ratio = int(rng.choice(recipe.ratios))
    view = SparseView.simulate(n_planes, ratio, phase=int(rng.integers(ratio)))
    if rng.random() < recipe.thin and len(view.planes) > 2:
        keep = int(rng.integers(1, len(view.planes)))
        start = int(rng.integers(0, len(view.planes) - keep + 1))
        view = SparseView(
            view.planes[start : start + keep],
            view.positions[start : start + keep],
            view.depth,
            view.ratio,
        )
    return view


def cut_patch(
    pair: Pair, recipe: PatchRecipe, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut one random patch.

    Returns
    -------
    network_input : Tensor
        (2, D, H, W)
    target : Tensor
        (S, D, H, W)
    """
    looks, depth = pair.looks.shape[:2]
    z = int(rng.integers(0, depth - recipe.depth + 1))
    area = _area(pair.looks.shape, recipe, rng)
    view = _view(depth, recipe, rng)
    # Only measured planes that the window can see take part.
    stack = pair.looks[int(rng.integers(looks))]
    weights = view.weights("linear")[z : z + recipe.depth]
    used = np.flatnonzero(weights.any(0))
    measured = [view.planes[i] for i in used]
    planes = _planes(stack, measured, area)
    planes = planes + float(rng.uniform(0, recipe.clutter)) * _planes(
        stack, measured, _area(stack.shape, recipe, rng)
    ).flip(-2, -1)
    planes = _tilted(planes, float(rng.uniform(-recipe.tilt, recipe.tilt)))
    low, high = recipe.noise
    noise = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    planes = planes + noise * torch.from_numpy(
        rng.standard_normal(planes.shape, dtype=np.float32)
    )
    planes = planes * float(2.0 ** rng.uniform(-recipe.gain, recipe.gain))
    dense = torch.einsum("dn,nhw->dhw", torch.from_numpy(weights[:, used]), planes)
    distance = torch.from_numpy(view.distance()[z : z + recipe.depth])
    source = network_input(dense, distance)
    target = torch.from_numpy(
        np.ascontiguousarray(pair.targets[:, z : z + recipe.depth, area[0], area[1]])
    )
    turn = int(rng.integers(8))
    return _turned(source, turn), _turned(target, turn).float()


def _area(
    shape: tuple[int, ...], recipe: PatchRecipe, rng: np.random.Generator
) -> tuple[slice, slice]:
    """Random field of a patch."""
    y = int(rng.integers(0, shape[-2] - recipe.height + 1))
    x = int(rng.integers(0, shape[-1] - recipe.width + 1))
    return slice(y, y + recipe.height), slice(x, x + recipe.width)


def _planes(
    stack: np.ndarray, indices: list[int], area: tuple[slice, slice]
) -> torch.Tensor:
    """Read some planes of a field, (n, H, W) float32."""
    planes = np.stack([stack[index][area] for index in indices])
    return torch.from_numpy(planes.astype(np.float32))


def _turned(x: torch.Tensor, turn: int) -> torch.Tensor:
    """One of the eight symmetries of the square, in y and x."""
    if turn & 4:
        x = x.transpose(-2, -1)
    return torch.rot90(x, turn & 3, (-2, -1))


def patch_batches(
    pairs: Sequence[Pair], recipe: PatchRecipe, batch: int, seed: int, ahead: int = 3
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches, cut on a thread while the network learns.

    Parameters
    ----------
    pairs : sequence of Pair
        May grow while training; new ones take part at once.
    recipe : PatchRecipe
    batch, seed, ahead : int
        Patches in a batch; of the randomness; batches kept ready.
    """
    queue: Queue[tuple[torch.Tensor, torch.Tensor]] = Queue(ahead)
    stop = threading.Event()

    def cut() -> None:
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            chosen = [
                cut_patch(pairs[int(rng.integers(len(pairs)))], recipe, rng)
                for _ in range(batch)
            ]
            queue.put(
                (
                    torch.stack([c[0] for c in chosen]),
                    torch.stack([c[1] for c in chosen]),
                )
            )

    thread = threading.Thread(target=cut, daemon=True)
    thread.start()
    try:
        while True:
            yield queue.get()
    finally:
        stop.set()
        while thread.is_alive():
            if not queue.empty():
                queue.get()
            thread.join(0.05)

"""Training patches and batches: random place, random sparsity, random optics.

A patch follows from (seed, step, place in the batch) alone, so that a killed training
resumes with the patches that it would have seen.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import count
from threading import Event

import numpy as np
import torch

from napari_sparsessp.networks.layers import network_input
from napari_sparsessp.sparse import SparseView
from napari_sparsessp.training.pairs import Pair


@dataclass(frozen=True)
class PatchRecipe:
    """Size and random changes of patches; see also `Recipe` of the config."""

    depth: int = 32
    height: int = 128
    width: int = 128
    ratios: tuple[int, ...] = (1, 2, 4, 8)
    noise: tuple[float, float] | None = (0.01, 0.5)
    gain: float = 0.4
    tilt: float = 0.5
    # Another part of the stack, turned around, is added with a weight uniform between 0
    # and this: light that no structure of the patch explains.
    clutter: float = 0.4
    thin: float = 0.1
    # Of ``flips`` the patch, not the stack, is made sparse, as in the released code.
    turns: str = "dihedral"
    random_phase: bool = True
    interpolation: str = "linear"
    # inputs, every: of the network: its input channels, and it takes each such plane of
    # the window.
    inputs: int = 2
    every: int = 1


@dataclass(frozen=True, eq=False)
class Patch:
    """Input and target of a network."""

    source: torch.Tensor  # (inputs, planes, H, W)
    # (L, D, H, W), one for each label; a projection is repeated on all planes.
    target: torch.Tensor
    # (L, D, H, W) or (L, D, 1, 1): 1 where the target counts, else 0.
    weight: torch.Tensor
    projected: torch.Tensor  # (L,) bool: the target is a projection
    labels: tuple[int, ...]  # the network's outputs


@dataclass(frozen=True, eq=False)
class _Window:
    """Planes of the stack that the patch shows, and how they were measured."""

    planes: np.ndarray  # (D,) planes of the stack, the end ones repeated
    inside: np.ndarray  # (D,) bool
    measured: np.ndarray  # (n,) planes of the stack
    weights: np.ndarray  # (D, n)
    distance: np.ndarray  # (D,)


def cut_patch(
    pair: Pair,
    recipe: PatchRecipe,
    rng: np.random.Generator,
    rows: Sequence[int] | None = None,
) -> Patch:
    """Cut one random patch."""
    window = _window(pair.looks.shape[1], recipe, rng)
    area = _area(pair.looks.shape, recipe, rng)
    stack = pair.looks[int(rng.integers(len(pair.looks)))]
    planes = _varied(stack, window.measured, area, recipe, rng)
    dense = torch.einsum("dn,nhw->dhw", torch.from_numpy(window.weights), planes)
    source = network_input(dense, torch.from_numpy(window.distance))
    turn = _turn(recipe, rng)
    wanted = range(len(pair.targets)) if rows is None else rows
    targets, weights = zip(
        *(_target(pair, row, window, area) for row in wanted), strict=True
    )
    return Patch(
        _turned(source[: recipe.inputs, :: recipe.every], turn).contiguous(),
        _turned(torch.stack(targets), turn).contiguous(),
        _turned(torch.stack(torch.broadcast_tensors(*weights)), turn).contiguous(),
        torch.tensor([len(pair.targets[row]) == 1 for row in wanted]),
        tuple(pair.labels[row] for row in wanted),
    )


def _window(depth: int, recipe: PatchRecipe, rng: np.random.Generator) -> _Window:
    every = recipe.every
    if depth <= recipe.depth:  # the stack lies in the middle of the window
        start = -((recipe.depth - depth) // 2 // every * every)
    else:
        start = int(rng.integers((depth - recipe.depth) // every + 1)) * every
    wanted = np.arange(start, start + recipe.depth)
    planes = wanted.clip(0, depth - 1)
    if recipe.turns == "flips":
        if rng.random() < 0.5:
            wanted, planes = wanted[::-1], planes[::-1]
        view = _view(recipe.depth, recipe, rng)
        return _Window(
            planes,
            planes == wanted,
            planes[list(view.planes)],
            view.weights(recipe.interpolation),
            view.distance(),
        )
    view = _view(depth, recipe, rng)
    # Only measured planes that the window can see take part.
    weights = view.weights(recipe.interpolation)[planes]
    used = np.flatnonzero(weights.any(0))
    distance = view.distance()[planes] + (wanted - planes)
    return _Window(
        planes,
        planes == wanted,
        np.asarray(view.planes)[used],
        weights[:, used],
        distance.astype(np.float32),
    )


def _view(n_planes: int, recipe: PatchRecipe, rng: np.random.Generator) -> SparseView:
    ratio = int(rng.choice(recipe.ratios))
    phase = int(rng.integers(min(ratio, n_planes))) if recipe.random_phase else 0
    view = SparseView.simulate(n_planes, ratio, phase=phase)
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


def _varied(
    stack: np.ndarray,
    measured: np.ndarray,
    area: tuple[slice, slice],
    recipe: PatchRecipe,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Measured planes of a field as another microscope might have seen them."""
    planes = _planes(stack, measured, area)
    if recipe.clutter:
        other = _planes(stack, measured, _area(stack.shape, recipe, rng))
        planes = planes + float(rng.uniform(0, recipe.clutter)) * other.flip(-2, -1)
    if recipe.tilt:
        planes = _tilted(planes, float(rng.uniform(-recipe.tilt, recipe.tilt)))
    if recipe.noise is not None:
        low, high = recipe.noise
        noise = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        planes = planes + noise * torch.from_numpy(
            rng.standard_normal(planes.shape, dtype=np.float32)
        )
    return planes * float(2.0 ** rng.uniform(-recipe.gain, recipe.gain))


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


def _target(
    pair: Pair, row: int, window: _Window, area: tuple[slice, slice]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(D, H, W) target and its weight, which may be (D, 1, 1)."""
    target = _planes(pair.targets[row], window.planes, area)
    weight = torch.from_numpy(window.inside.astype(np.float32))[:, None, None]
    mask = pair.masks[row] if pair.masks else None
    if mask is not None:
        weight = weight * (_planes(mask, window.planes, area) > 0).float()
    known = target.isfinite()
    if not known.all():
        target, weight = target.where(known, 0.0), weight * known.float()
    return target, weight


def _area(
    shape: tuple[int, ...], recipe: PatchRecipe, rng: np.random.Generator
) -> tuple[slice, slice]:
    """Random field of a patch."""
    y = int(rng.integers(0, shape[-2] - recipe.height + 1))
    x = int(rng.integers(0, shape[-1] - recipe.width + 1))
    return slice(y, y + recipe.height), slice(x, x + recipe.width)


def _planes(
    stack: np.ndarray, indices: np.ndarray, area: tuple[slice, slice]
) -> torch.Tensor:
    """Read some planes of a field, (n, H, W) float32; of one plane, always that."""
    planes = np.stack([stack[min(int(i), len(stack) - 1)][area] for i in indices])
    return torch.from_numpy(planes.astype(np.float32))


def _turn(recipe: PatchRecipe, rng: np.random.Generator) -> int:
    """Bits: 1 mirrors y, 2 mirrors x, 4 swaps them."""
    if recipe.turns == "none":
        return 0
    square = recipe.turns == "dihedral" and recipe.height == recipe.width
    return int(rng.integers(8 if square else 4))


def _turned(x: torch.Tensor, turn: int) -> torch.Tensor:
    """One of the eight symmetries of the square, in y and x."""
    if turn & 4:
        x = x.transpose(-2, -1)
    return x.flip([axis for bit, axis in ((1, -2), (2, -1)) if turn & bit])


class RenewedPairs(list[Pair]):
    """Some stacks that stay, and others that follow from the step.

    As a list it is what it was when it was last asked for a step. `draw` returns the
    others, the same for the same step, with labels and sizes that never change; it may
    wait, and raises `Cancelled` once the event is set.
    """

    def __init__(
        self,
        fixed: Sequence[Pair],
        draw: Callable[[int, Event], Sequence[Pair]],
        step: int = 0,
    ) -> None:
        super().__init__()
        self._fixed, self._draw = list(fixed), draw
        self.at(step, Event())

    def at(self, step: int, ended: Event) -> list[Pair]:
        """Return the stacks of a step; raises `Cancelled` once `ended` is set."""
        now = [*self._fixed, *self._draw(step, ended)]
        self[:] = now
        return now


PAUSE = 0.2
"""Seconds between two calls of `waiting`."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Patches of one step."""

    source: torch.Tensor  # (B, inputs, planes, H, W)
    target: torch.Tensor  # (B, S, D, H, W), S all outputs, or 1
    # (B, S, D, H, W) or (B, S, D, 1, 1); 0 where there is no label.
    weight: torch.Tensor
    projected: torch.Tensor  # (B, S) bool
    # (B,) the structure of each sample where S is 1 of several.
    tasks: torch.Tensor | None

    def to(self, device: str | torch.device) -> "Batch":
        """Return a copy on a device."""
        moved = (None if one is None else one.to(device) for one in vars(self).values())
        return Batch(*moved)  # type: ignore[arg-type]


def choose(pairs: Sequence[Pair], rng: np.random.Generator) -> tuple[int, int]:
    """Draw a structure, then one of the stacks that show it."""
    labelled: dict[int, list[tuple[int, int]]] = {}
    for index, pair in enumerate(pairs):
        for row, label in enumerate(pair.labels):
            labelled.setdefault(label, []).append((index, row))
    structures = sorted(labelled)
    places = labelled[structures[int(rng.integers(len(structures)))]]
    return places[int(rng.integers(len(places)))]


def cut_batch(
    pairs: Sequence[Pair],
    recipe: PatchRecipe,
    batch: int,
    seed: int,
    step: int,
    outputs: int | None = None,
    rank: int = 0,
) -> Batch:
    """Cut the batch of one step.

    With `outputs` all structures together, so many, with those that lack a label left
    out of the loss; otherwise one structure a patch. Processes of different `rank` cut
    the patches that one of them would cut with a batch as large as all of theirs.
    """
    patches = []
    for place in range(rank * batch, (rank + 1) * batch):
        rng = np.random.default_rng([seed, step, place])
        index, row = choose(pairs, rng)
        rows = [row] if outputs is None else None
        patches.append(cut_patch(pairs[index], recipe, rng, rows))
    tasks = None
    if outputs is None:
        tasks = torch.tensor([patch.labels[0] for patch in patches])
        parts = [(patch.target, patch.weight, patch.projected) for patch in patches]
    else:
        parts = [_spread(patch, outputs) for patch in patches]
    target, weight, projected = zip(*parts, strict=True)
    return Batch(
        torch.stack([patch.source for patch in patches]),
        torch.stack(target),
        torch.stack(torch.broadcast_tensors(*weight)),
        torch.stack(projected),
        tasks,
    )


def _spread(
    patch: Patch, outputs: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Put the labels of a patch to the network's outputs, with weight 0 elsewhere."""
    if patch.labels == tuple(range(outputs)):
        return patch.target, patch.weight, patch.projected
    where = torch.tensor(patch.labels)
    target = torch.zeros(outputs, *patch.target.shape[1:])
    weight = torch.zeros(outputs, *patch.weight.shape[1:])
    projected = torch.zeros(outputs, dtype=torch.bool)
    target[where], weight[where] = patch.target, patch.weight
    projected[where] = patch.projected
    return target, weight, projected


def batches(
    pairs: Sequence[Pair],
    recipe: PatchRecipe,
    batch: int,
    seed: int,
    step: int = 0,
    outputs: int | None = None,
    ahead: int = 3,
    workers: int = 1,
    rank: int = 0,
    waiting: Callable[[], None] | None = None,
) -> Generator[Batch, None, None]:
    """Batches from a step on, cut on threads while the network learns.

    Pairs that change are those of each step. The number of threads changes nothing in
    the batches. `waiting` is called while a batch is not ready; what it raises, or what
    went wrong on a thread, ends the batches, which are endless otherwise.
    """
    ended = Event()

    def cut(at: int) -> Batch:
        now = pairs.at(at, ended) if isinstance(pairs, RenewedPairs) else pairs
        return cut_batch(now, recipe, batch, seed, at, outputs, rank)

    with ThreadPoolExecutor(workers, "patches") as pool:
        queue: deque[Future[Batch]] = deque()
        try:
            for at in count(step):
                queue.append(pool.submit(cut, at))
                if len(queue) < ahead + workers:
                    continue
                while not wait([queue[0]], PAUSE).done:
                    if waiting is not None:
                        waiting()
                yield queue.popleft().result()
        finally:
            ended.set()
            for future in queue:
                future.cancel()

"""Batches: each structure as often as any other, the same for the same seed and step.

The randomness of a patch follows from (seed, step, place in the batch) alone, so that a
training that was killed goes on with exactly the patches that it would have seen.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import count
from threading import Event

import numpy as np
import torch

from napari_sparsessp.training.patches import Pair, Patch, PatchRecipe, cut_patch
from napari_sparsessp.training.renewal import RenewedPairs

PAUSE = 0.2
"""Seconds between two questions whether to stop, while a batch is waited for."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Patches of one step.

    Attributes
    ----------
    source : Tensor
        (B, inputs, planes, H, W)
    target : Tensor
        (B, S, D, H, W), S all outputs, or 1.
    weight : Tensor
        (B, S, D, H, W) or (B, S, D, 1, 1); 0 where there is no label.
    projected : Tensor
        (B, S) bool.
    tasks : Tensor or None
        (B,) the structure of each sample where S is 1 of several.
    """

    source: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    projected: torch.Tensor
    tasks: torch.Tensor | None

    def to(self, device: str | torch.device) -> "Batch":
        """Give a copy on a device."""
        return Batch(
            self.source.to(device),
            self.target.to(device),
            self.weight.to(device),
            self.projected.to(device),
            None if self.tasks is None else self.tasks.to(device),
        )


def choose(pairs: Sequence[Pair], rng: np.random.Generator) -> tuple[int, int]:
    """Draw a structure, then one of the stacks that show it.

    Returns
    -------
    pair, row : int
        Index of the stack, and of the target in it.
    """
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

    Parameters
    ----------
    pairs : sequence of Pair
    recipe : PatchRecipe
    batch, seed, step : int
    outputs : int, optional
        All structures together, so many, with those that lack a label left out of
        the loss. Otherwise one structure a patch.
    rank : int
        Which of several processes: together they cut the patches that one of them
        would cut with a batch as large as all of theirs.

    Returns
    -------
    Batch
    """
    patches = []
    for place in range(rank * batch, (rank + 1) * batch):
        rng = np.random.default_rng([seed, step, place])
        index, row = choose(pairs, rng)
        rows = [row] if outputs is None else None
        patches.append(cut_patch(pairs[index], recipe, rng, rows))
    source = torch.stack([patch.source for patch in patches])
    if outputs is None:
        tasks = torch.tensor([patch.labels[0] for patch in patches])
        weights = torch.broadcast_tensors(*(patch.weight for patch in patches))
        return Batch(
            source,
            torch.stack([patch.target for patch in patches]),
            torch.stack(weights),
            torch.stack([patch.projected for patch in patches]),
            tasks,
        )
    target, weight, projected = zip(
        *(_spread(patch, outputs) for patch in patches), strict=True
    )
    return Batch(
        source,
        torch.stack(target),
        torch.stack(torch.broadcast_tensors(*weight)),
        torch.stack(projected),
        None,
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
    stop: Callable[[], bool] | None = None,
) -> Generator[Batch, None, None]:
    """Batches from a step on, cut on threads while the network learns.

    Parameters
    ----------
    pairs, recipe, batch, seed, step, outputs, rank
        See `cut_batch`. Pairs that change are those of each step.
    ahead : int
        Batches kept ready.
    workers : int
        Threads; their number changes nothing in the batches.
    stop : callable, optional
        Asked while a batch is not ready; true ends the batches, which are endless
        otherwise.

    Raises
    ------
    Exception
        Whatever went wrong on a thread.
    """
    ended = Event()

    def cut(at: int) -> Batch:
        now = pairs.at(at, ended) if isinstance(pairs, RenewedPairs) else pairs
        return cut_batch(now, recipe, batch, seed, at, outputs, rank)

    with ThreadPoolExecutor(workers, "patches") as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for at in count(step):
                waiting.append(pool.submit(cut, at))
                if len(waiting) < ahead + workers:
                    continue
                while not wait([waiting[0]], PAUSE).done:
                    if stop is not None and stop():
                        return
                yield waiting.popleft().result()
        finally:
            ended.set()
            for one in waiting:
                one.cancel()

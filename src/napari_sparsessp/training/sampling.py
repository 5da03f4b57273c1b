"""Batches: each structure as often as any other, the same for the same seed and step.

The randomness of a patch follows from (seed, step, place in the batch) alone, so that a
training that was killed goes on with exactly the patches that it would have seen.
"""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch

from napari_sparsessp.training.patches import Pair, Patch, PatchRecipe, cut_patch


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

    Returns
    -------
    Batch
    """
    patches = []
    for place in range(batch):
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
) -> Generator[Batch, None, None]:
    """Endless batches from a step on, cut on threads while the network learns.

    Parameters
    ----------
    pairs, recipe, batch, seed, step, outputs
        See `cut_batch`.
    ahead : int
        Batches kept ready.
    workers : int
        Threads; their number changes nothing in the batches.

    Raises
    ------
    Exception
        Whatever went wrong on a thread.
    """
    with ThreadPoolExecutor(workers, "patches") as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for at in count(step):
                waiting.append(
                    pool.submit(cut_batch, pairs, recipe, batch, seed, at, outputs)
                )
                if len(waiting) >= ahead + workers:
                    yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()

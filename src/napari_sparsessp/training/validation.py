"""Validate a network on held-out stacks: R², and a preview of one patch."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_sparsessp.metrics import PixelSums
from napari_sparsessp.networks.layers import network_input
from napari_sparsessp.prediction.tiling import window_starts
from napari_sparsessp.sparse import SparseView
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.training.pairs import Pair
from napari_sparsessp.training.patches import PatchRecipe, cut_patch

FIELD = 256
"""Pixels of the middle of a stack that are scored, at most, in y and in x."""


@dataclass(frozen=True, eq=False)
class Validator:
    """Scores a network; call it with one.

    Every r-th plane is measured, from the first. In z windows follow each other
    without overlap, so scores are a little lower than those of a real prediction.
    """

    pairs: Sequence[Pair]
    structures: tuple[str, ...]  # names of the outputs
    ratios: tuple[int, ...]
    interpolation: str = "linear"
    # device, precision, projection: as in
    # `napari_sparsessp.training.loop.TrainingPlan`.
    device: str = "cpu"
    precision: str = "fp32"
    projection: str = "mean"
    progress: Progress = no_progress  # called between stacks and ratios

    def __call__(self, network: nn.Module) -> dict[str, Any]:
        """Return ``r2``, the mean, None where no truth varies, and ``scores``.

        Scores are R², the mean over stacks: structure to ratio to R².
        """
        r2: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        done, total = 0, len(self.pairs) * len(self.ratios)
        for pair in self.pairs:
            for ratio in self.ratios:
                self.progress(done, total, "validating")
                done += 1
                for label, sums in self._sums(network, pair, ratio).items():
                    if sums.r2 is not None:
                        r2[self.structures[label]][str(ratio)].append(sums.r2)
        scores = {
            name: {ratio: float(np.mean(values)) for ratio, values in rows.items()}
            for name, rows in sorted(r2.items())
        }
        flat = [value for rows in scores.values() for value in rows.values()]
        return {"r2": float(np.mean(flat)) if flat else None, "scores": scores}

    @torch.inference_mode()
    def _sums(self, network: nn.Module, pair: Pair, ratio: int) -> dict[int, PixelSums]:
        config: Any = network.config
        depth, *size = pair.looks.shape[1:]
        area = tuple(_middle(extent, config.stride) for extent in size)
        view = SparseView.simulate(depth, min(ratio, depth))
        planes = np.stack([pair.looks[0][(i, *area)] for i in view.planes])
        weights, distance = view.weights(self.interpolation), view.distance()
        sums = {label: PixelSums() for label in pair.labels}
        kind, reduced = torch.device(self.device).type, self.precision == "bf16"
        done = 0
        for start in window_starts(depth, config.depth, 0, config.ratio):
            wanted = np.arange(start, start + config.depth)
            index = wanted.clip(0, depth - 1)
            dense = np.einsum("dn,nhw->dhw", weights[index], planes.astype(np.float32))
            source = network_input(
                torch.from_numpy(dense),
                torch.from_numpy((distance[index] + wanted - index).astype(np.float32)),
            )[: config.inputs, :: config.ratio]
            with torch.autocast(kind, torch.bfloat16, enabled=reduced):
                y = network(source[None].to(self.device), structures=list(pair.labels))
            prediction = y[0].float().cpu().numpy()
            # Planes of the window that the stack has and no window before.
            fresh = (wanted == index) & (wanted >= done)
            for row, label in enumerate(pair.labels):
                _add(sums[label], prediction[row, fresh], pair, row, index[fresh], area,
                     self.projection)  # fmt: skip
            done = start + config.depth
        return sums


def _add(
    sums: PixelSums,
    prediction: np.ndarray,
    pair: Pair,
    row: int,
    index: np.ndarray,
    area: tuple[slice, ...],
    projection: str,
) -> None:
    """Compare (d, H, W) planes, or their projection, with what is labelled."""
    target, mask = pair.targets[row], pair.masks[row] if pair.masks else None
    if len(target) == 1:
        flat = prediction.max(0) if projection == "max" else prediction.mean(0)
        prediction, index = flat[None], np.zeros(1, np.int64)
    for plane, one in zip(index.tolist(), prediction, strict=True):
        truth = target[(min(plane, len(target) - 1), *area)].astype(np.float32)
        if mask is not None:
            seen = mask[(min(plane, len(mask) - 1), *area)] > 0
            truth = np.where(seen, truth, np.nan)
        sums.update(one, truth)


def _middle(extent: int, stride: int) -> slice:
    """The middle, a multiple of the network's stride long."""
    length = min(extent, max(FIELD, stride)) // stride * stride
    start = (extent - length) // 2
    return slice(start, start + length)


_SEED = 7
"""The same patch at every validation, so that its change is seen."""


@dataclass(frozen=True, eq=False)
class Preview:
    """One patch: what was measured, what is true, and what is predicted now."""

    structures: tuple[str, ...]  # for each row of `truth` and `prediction`
    light: np.ndarray  # (D, H, W) float32, as the network sees it at `ratio`
    # truth, prediction: (L, D, H, W) float32, in units of the z-scored truth; NaN in
    # the truth where there is no label.
    truth: np.ndarray
    prediction: np.ndarray
    ratio: int  # sparsity ratio of the patch
    step: int = 0  # of the training; filled in by whoever knows it


def preview_patch(
    pairs: Sequence[Pair],
    recipe: PatchRecipe,
    structures: Sequence[str],
    device: str,
    stride: int,
) -> Callable[[nn.Module], Preview] | None:
    """Cut one patch of the stack with the most labels; None without a stack.

    Of the recipe its size and sampling count; its random changes of optics do not. The
    result predicts the patch by a network in evaluation mode, on the device.
    """
    fitting = [pair for pair in pairs if min(pair.looks.shape[-2:]) >= stride]
    if not fitting:
        return None
    pair = max(fitting, key=lambda one: len(one.targets))
    height, width = (size // stride * stride for size in pair.looks.shape[-2:])
    plain = replace(
        recipe, height=min(recipe.height, height), width=min(recipe.width, width),
        ratios=recipe.ratios[:1], noise=None, gain=0.0, tilt=0.0, clutter=0.0, thin=0.0,
        turns="none", random_phase=False,
    )  # fmt: skip
    patch = cut_patch(pair, plain, np.random.default_rng(_SEED))
    names = tuple(structures[label] for label in patch.labels)
    counts = (patch.weight > 0).expand_as(patch.target)
    truth = torch.where(counts, patch.target, torch.nan).numpy()

    @torch.inference_mode()
    def predicted(network: nn.Module) -> Preview:
        y = network(patch.source[None].to(device), structures=list(patch.labels))
        prediction = y[0].float().cpu().numpy()
        light = patch.source[0].numpy()
        return Preview(names, light, truth, prediction, plain.ratios[0])

    return predicted

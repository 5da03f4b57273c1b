"""What a network says of one patch that was kept back, while it learns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from napari_sparsessp.training.patches import Pair, PatchRecipe, cut_patch

_SEED = 7
"""The same patch at every validation, so that one sees it change."""


@dataclass(frozen=True, eq=False)
class Preview:
    """One patch: what was measured, what is true, and what is predicted now.

    Attributes
    ----------
    structures : tuple of str
        For each row of `truth` and `prediction`.
    light : ndarray
        (D, H, W) float32, as the network sees it at `ratio`.
    truth, prediction : ndarray
        (L, D, H, W) float32, in units of the z-scored truth; NaN in the truth where
        there is no label.
    ratio : int
        Sparsity ratio of the patch.
    step : int
        Of the training; filled in by whoever knows it.
    """

    structures: tuple[str, ...]
    light: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    ratio: int
    step: int = 0


class PreviewPatch:
    """A patch of one stack that was kept back; call it with a network.

    Parameters
    ----------
    pair : Pair
    recipe : PatchRecipe
        Its size and sampling count; its random changes of optics do not.
    structures : sequence of str
        Names of all outputs.
    device : str
    """

    def __init__(
        self, pair: Pair, recipe: PatchRecipe, structures: Sequence[str], device: str
    ) -> None:
        height, width = pair.looks.shape[-2:]
        self._ratio = recipe.ratios[0]
        plain = replace(
            recipe,
            height=min(recipe.height, height),
            width=min(recipe.width, width),
            ratios=(self._ratio,),
            noise=None,
            gain=0.0,
            tilt=0.0,
            clutter=0.0,
            thin=0.0,
            turns="none",
            random_phase=False,
        )
        self._patch = cut_patch(pair, plain, np.random.default_rng(_SEED))
        self._names = tuple(structures[label] for label in self._patch.labels)
        self._device = device

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> Preview:
        """Predict the patch as the network is now.

        Parameters
        ----------
        network : Module
            In evaluation mode, on the patch's device.
        """
        patch, given = self._patch, list(self._patch.labels)
        called: Any = network
        found = called(patch.source[None].to(self._device), structures=given)
        found = found[0].float().cpu()
        counts = (patch.weight > 0).expand_as(patch.target)
        truth = torch.where(counts, patch.target, torch.nan)
        return Preview(
            self._names,
            patch.source[0].numpy(),
            truth.numpy(),
            found.numpy(),
            self._ratio,
        )


def preview_patch(
    pairs: Sequence[Pair],
    recipe: PatchRecipe,
    structures: Sequence[str],
    device: str,
    stride: int,
) -> PreviewPatch | None:
    """Choose the patch: of the stack with the most labels; None without a stack.

    Parameters
    ----------
    pairs : sequence of Pair
        Those that were kept back.
    recipe : PatchRecipe
    structures : sequence of str
    device : str
    stride : int
        Of the network: the patch is so many pixels, or a multiple of them.
    """
    fitting = [pair for pair in pairs if min(pair.looks.shape[-2:]) >= stride]
    if not fitting:
        return None
    pair = max(fitting, key=lambda one: len(one.targets))
    height, width = (size // stride * stride for size in pair.looks.shape[-2:])
    fitted = replace(
        recipe, height=min(recipe.height, height), width=min(recipe.width, width)
    )
    return PreviewPatch(pair, fitted, structures, device)

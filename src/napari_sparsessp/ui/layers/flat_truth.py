"""A truth of one plane, shown at every z like the projection it is held against."""

from typing import Any

import numpy as np


class FlatTruth:
    """Spreads a truth layer of one plane over its prediction's depth, until undone.

    A projection stands for a whole stack; a layer with its maximum projection lies in
    one plane and would vanish at every other one.

    Parameters
    ----------
    truth, prediction : napari.layers.Image
    """

    def __init__(self, truth: Any, prediction: Any) -> None:
        self._truth = truth
        self._before = np.array(truth.scale), np.array(truth.translate)
        truth.scale = _with_z(truth.scale, prediction.scale)
        truth.translate = _with_z(truth.translate, prediction.translate)

    def undo(self) -> None:
        """Put the truth back where it lay."""
        self._truth.scale, self._truth.translate = self._before


def lies_flat(truth: Any, prediction: Any) -> bool:
    """Whether both are one plane, and lie at different depths or are not as thick."""
    if truth.ndim < 3 or prediction.ndim < 3:
        return False
    if truth.data.shape[-3] != 1 or prediction.data.shape[-3] != 1:
        return False
    return any(
        not np.isclose(ours[-3], theirs[-3])
        for ours, theirs in (
            (truth.scale, prediction.scale),
            (truth.translate, prediction.translate),
        )
    )


def _with_z(values: Any, others: Any) -> np.ndarray:
    changed = np.array(values)
    changed[-3] = others[-3]
    return changed

"""Truth and prediction on one scale of brightness, so that the eye compares fairly.

A prediction is in units of its truth's z-score. A truth layer is in counts; its mean
and standard deviation turn the one into the other.
"""

from typing import Any

import numpy as np

from napari_sparsessp.volume import Volume

Scale = tuple[float, float]

_PLANES = 7


def truth_scale(volume: Volume) -> Scale:
    """Estimate mean and standard deviation of a truth from some of its planes.

    Parameters
    ----------
    volume : Volume
        ZYX or TZYX; of several time points the first counts.

    Returns
    -------
    (mean, standard deviation)
    """
    one = volume.time(0)
    last = one.sizes["Z"] - 1
    chosen = sorted({round(k * last / (_PLANES - 1)) for k in range(_PLANES)})
    some = one.planes(chosen)[:, ::2, ::2]
    return float(np.nanmean(some)), float(np.nanstd(some))


class ContrastLink:
    """Keeps a truth's contrast limits at those of its prediction, until undone.

    Parameters
    ----------
    truth, prediction : napari.layers.Image
    scale : (mean, standard deviation)
        Of the truth.
    """

    def __init__(self, truth: Any, prediction: Any, scale: Scale) -> None:
        self._truth = truth
        self._prediction = prediction
        self._scale = scale
        self._before = tuple(truth.contrast_limits)
        prediction.events.contrast_limits.connect(self.follow)
        self.follow()

    def follow(self, _event: Any = None) -> None:
        """Take the prediction's limits over."""
        mean, spread = self._scale
        low, high = (mean + spread * z for z in self._prediction.contrast_limits)
        if np.isfinite([low, high]).all() and high > low:
            self._truth.contrast_limits = (low, high)

    def undo(self) -> None:
        """Give the truth its own limits back."""
        self._prediction.events.contrast_limits.disconnect(self.follow)
        self._truth.contrast_limits = self._before

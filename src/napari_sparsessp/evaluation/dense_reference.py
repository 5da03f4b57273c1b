"""A model against itself: its dense prediction in the place of a truth.

Where nobody has recorded a truth, this tells how much a prediction changes as planes
are left out. It tells nothing of whether the prediction is right.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_sparsessp.metrics import PixelSums
from napari_sparsessp.volume import Volume


class DenseReference:
    """A dense prediction, held against sparser ones.

    R² is 1 − SSE / SST with the dense prediction as the truth, nothing refitted; MSE
    and MAE are in units of its standard deviation, structure by structure.

    Parameters
    ----------
    prediction : Volume
        CZYX in memory, float32. Brought to mean 0 and deviation 1 in place.
    """

    def __init__(self, prediction: Volume) -> None:
        self.volume = prediction
        self._scales = [_mean_and_deviation(one) for one in prediction.array]
        self.rescale(prediction)

    @property
    def stacks(self) -> dict[str, np.ndarray]:
        """Structure id to (D, H, W) float32, z-scored."""
        names = self.volume.channel_names
        return dict(zip(names, self.volume.array, strict=True))

    def rescale(self, prediction: Volume) -> None:
        """Bring a prediction into the reference's units, in place.

        Parameters
        ----------
        prediction : Volume
            Of the same structures on the same grid, in memory.
        """
        for stack, (mean, deviation) in zip(
            prediction.array, self._scales, strict=True
        ):
            stack -= np.float32(mean)
            stack /= np.float32(deviation)

    def scores(
        self, prediction: Volume, check: Callable[[], None] = lambda: None
    ) -> dict[str, dict[str, Any]]:
        """Score a prediction that `rescale` has seen.

        Parameters
        ----------
        prediction : Volume
        check : callable
            Called after each plane; what it raises stops the scoring.

        Returns
        -------
        dict
            Structure id to ``r2``, ``mse``, ``mae``, ``pcc``, ``pcc_plane`` and
            ``r2_per_plane``, as `metrics.score` defines them; None where one of the two
            is constant.
        """
        found = {}
        for name, stack in self.stacks.items():
            whole, within = PixelSums(), []
            for plane, reference in zip(
                prediction.channel(name).array, stack, strict=True
            ):
                within.append(PixelSums().update(plane, reference))
                whole.merge(within[-1])
                check()
            known = [one.pcc for one in within if one.pcc is not None]
            found[name] = {
                "r2": whole.r2,
                "mse": whole.mse,
                "mae": whole.mae,
                "pcc": whole.pcc,
                "pcc_plane": sum(known) / len(known) if known else None,
                "r2_per_plane": [one.r2 for one in within],
            }
        return found


def _mean_and_deviation(stack: np.ndarray) -> tuple[float, float]:
    """Of what is finite; a deviation of 1 where there is none to divide by."""
    sums = PixelSums()
    for plane in stack:
        sums.update(plane, plane)
    if not sums.count:
        return 0.0, 1.0
    deviation = (sums.spread_truth / sums.count) ** 0.5
    if sums.r2 is None:  # constant
        deviation = 1.0
    return sums.mean_truth, deviation

"""Where tiles are blended, and how that becomes the output."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sparsessp.prediction.blending import RunningMean
from napari_sparsessp.resampling import resample_yx

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.tiling import Tile


class Canvas:
    """The dense grid of one time point, and its way to the output.

    The output is the dense grid itself, the dense grid on the input's pixels, or, of a
    model of projections, one plane of either.

    Parameters
    ----------
    plan : Plan
    output : ndarray
        (C, D, H, W) float32 zeros, C = the plan's channels, D = 1 of a projection;
        filled tile by tile.
    """

    def __init__(self, plan: "Plan", output: np.ndarray) -> None:
        self.plan, self.output = plan, output
        self.how = plan.card.z_projection
        self.on_model_grid = plan.request.grid == "model"
        same = self.how == "none" and self.on_model_grid
        size = (len(plan.channels), *plan.model_shape)
        self._work = output if same else np.zeros(size, np.float32)
        self._mean = RunningMean(self._work)

    @property
    def scores_on_the_way(self) -> bool:
        """Whether each tile can be scored by itself, as it comes."""
        windows = {tile.z for tile in self.plan.tiles}
        return self.on_model_grid and (self.how == "none" or len(windows) == 1)

    def begin(self, tile: "Tile") -> np.ndarray:
        """Give the share of a tile; see `RunningMean.begin`."""
        return self._mean.begin(tile)

    def blend(
        self, tile: "Tile", share: np.ndarray, prediction: np.ndarray, rows: list[int]
    ) -> None:
        """Blend in a tile's (C, D, H, W) of some channels and show it."""
        self._mean.blend(tile, share, prediction, rows)
        if self.how != "none" and self.on_model_grid:
            area = (slice(None), *tile.box[1:])
            for row in rows:
                self.output[row][area] = flattened(self._work[row][area], self.how)

    def finish(self) -> None:
        """Fill an output that is not on the model's pixels, once all is blended."""
        if self.on_model_grid:
            return
        plan, work = self.plan, self._work
        if self.how != "none":
            work = np.stack([flattened(one, self.how) for one in work])
        size = (plan.output_shape[-2], plan.output_shape[-1])
        self.output[:] = resample_yx(work, plan.model_pixel, plan.input_pixel, size)

    def seen(self, tile: "Tile", prediction: np.ndarray) -> tuple["Tile", np.ndarray]:
        """Give a tile and its prediction as they lie in the output."""
        if self.how == "none":
            return tile, prediction
        flat = np.stack([flattened(one, self.how) for one in prediction])
        core = ((0, 1), *tile.core[1:])
        return replace(tile, z=(0, 1), keep_z=(0, 1), core=core), flat


def flattened(planes: np.ndarray, how: str) -> np.ndarray:
    """Project planes over z.

    Parameters
    ----------
    planes : ndarray
        (D, H, W); masked voxels are NaN and take no part.
    how : {"mean", "max"}

    Returns
    -------
    ndarray
        (1, H, W) float32; NaN where all planes are.
    """
    masked = np.isnan(planes)
    if how == "max":
        flat = np.where(masked, -np.inf, planes).max(0, keepdims=True)
        return np.where(np.isinf(flat), np.nan, flat).astype(np.float32)
    count = (~masked).sum(0, keepdims=True)
    total = np.where(masked, 0, planes).sum(0, keepdims=True, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return (total / np.where(count, count, np.nan)).astype(np.float32)

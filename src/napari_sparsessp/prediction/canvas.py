"""Where tiles are blended, and how that becomes the output."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sparsessp.prediction.blending import RunningMean
from napari_sparsessp.prediction.events import Box
from napari_sparsessp.resampling import LateralResampling

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
        if not self.on_model_grid:
            self._lateral = LateralResampling(
                plan.model_shape[1:],
                plan.model_pixel,
                plan.input_pixel,
                (output.shape[-2], output.shape[-1]),
            )

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
        if self._work is self.output:
            return
        _, y, x = self.touched(tile)
        if self.on_model_grid:
            source, resample = (y, x), None
        else:
            source, resample = self._lateral.source(y, x), self._lateral.part(y, x)
        for row in rows:
            planes = self._work[row][(slice(None), *source)]
            if self.how != "none":
                planes = flattened(planes, self.how)
            else:
                planes = planes[tile.box[0]]
            first = 0 if self.how != "none" else tile.box[0].start
            for z, plane in enumerate(planes, first):
                shown = plane if resample is None else resample(plane)
                self.output[row, z, y, x] = shown

    def touched(self, tile: "Tile") -> Box:
        """Give the (z, y, x) voxels of the output that a tile changes."""
        z, y, x = tile.box
        if self.how != "none":
            z = slice(0, 1)
        if not self.on_model_grid:
            y, x = self._lateral.reached(y, x)
        return z, y, x

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

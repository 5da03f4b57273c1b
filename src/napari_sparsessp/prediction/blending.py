"""Blend tiles into the output: windows along z, and across cuts where they cross-fade.

The windows of a column are blended into a running mean, which is right at any moment.
Weights depend on z alone, so they are known before anything is predicted; only networks
that see further than the halo have weights along y and x as well.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.tiling import (
    Box,
    Column,
    Span,
    Tile,
    TileGrid,
    common,
    within,
)
from napari_sparsessp.resampling import LateralResampling


def gaussian_window(depth: int) -> np.ndarray:
    """Weights (depth,) along z: Gaussian of σ = depth/8 around the middle, never 0."""
    offset = (np.arange(depth) - (depth - 1) / 2) / (depth / 8)
    return np.exp(-0.5 * offset**2).astype(np.float32)


def gaussian_ramp(keep: Span, core: Span) -> np.ndarray:
    """Weights along y or x: 1 in the core, a smooth step to 0 across each cut.

    The two steps that meet at a cut add up to 1: both are the integral of the same
    Gaussian.
    """
    position = np.arange(*keep) + 0.5
    weights = np.ones(len(position))
    for cut, side in ((core[0], 1), (core[1], -1)):
        fade = core[0] - keep[0] if side == 1 else keep[1] - core[1]
        if fade > 0:
            argument = side * (position - cut) / (fade / 2)
            weights *= [0.5 * (1 + math.erf(value)) for value in argument]
    return np.maximum(weights, 1e-4).astype(np.float32)


@dataclass(eq=False)
class WindowBlend:
    """Running mean of the windows of one column."""

    # (C, planes, h, w) float32 zeros: of the whole depth, or of as many planes as may
    # still change, where finished ones are released.
    values: np.ndarray
    first: int = 0  # plane of the volume that ``values[:, 0]`` is
    even: bool = False  # Whether all planes of a window weigh the same

    def __post_init__(self) -> None:
        """Start without any window."""
        self.weights = np.zeros(self.values.shape[:2], np.float32)

    def add(self, tile: Tile, rows: Sequence[int], prediction: np.ndarray) -> None:
        """Blend in (C, D, h, w) of ``tile.box``, of some channels."""
        import torch  # once over the voxels, on all cores: numpy goes three times

        start, stop = max(tile.keep_z[0], self.first), tile.keep_z[1]
        here = slice(start - self.first, stop - self.first)
        depth = tile.z[1] - tile.z[0]
        weight = np.ones(depth, np.float32) if self.even else gaussian_window(depth)
        weight = weight[start - tile.z[0] : stop - tile.z[0]]
        for row, planes in zip(rows, prediction, strict=True):
            total = self.weights[row, here]
            total += weight
            share = torch.from_numpy(weight / total)[:, None, None]
            new = np.asarray(planes, np.float32)[start - tile.keep_z[0] :]
            target = torch.from_numpy(self.values[row, here])
            target.lerp_(torch.from_numpy(new), share)

    def drop(self, planes: int) -> None:
        """Forget all planes below `planes`, and make room for as many others."""
        count = planes - self.first
        left = self.values.shape[1] - count
        for kept in (self.values, self.weights):
            # Plane by plane, upwards: source and target overlap.
            for plane in range(left):
                kept[:, plane] = kept[:, plane + count]
            kept[:, left:] = 0
        self.first = planes


class Projection:
    """``mean`` or ``max`` of planes over z as they come; NaN takes no part."""

    def __init__(self, how: str) -> None:
        self._how = how
        self._total: Any = None
        self._count: Any = None

    def add(self, planes: np.ndarray) -> None:
        """Count the next planes, (C, D, h, w)."""
        for plane in np.moveaxis(planes, 1, 0):
            masked = np.isnan(plane)
            if self._total is None:
                start = -np.inf if self._how == "max" else 0.0
                self._total = np.full(plane.shape, start, np.float64)
                self._count = np.zeros(plane.shape, np.int64)
            if self._how == "max":
                filled = np.where(masked, -np.inf, plane)
                np.maximum(self._total, filled, out=self._total)
            else:
                self._total += np.where(masked, 0, plane)
            self._count += ~masked

    def result(self) -> np.ndarray:
        """Return (C, 1, h, w) float32; NaN where all planes are."""
        count = np.where(self._count, self._count, np.nan)
        with np.errstate(invalid="ignore"):
            flat = self._total / (count if self._how == "mean" else count / count)
        return flat[:, None].astype(np.float32)


Read = Callable[[Column, slice, slice], "tuple[np.ndarray, np.ndarray] | None"]
"""Returns (C, D, h, w) of a column in a y and an x slice of what it keeps, and (D,)
which of its planes are predicted; None where none is."""


class Blend:
    """Blend the tiles of one time point into the output."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.grid = plan, plan.layout
        # Tiles that are to be predicted, as indices into the plan's
        self.left = list(range(len(self.grid)))
        # A tile of several passes of which some are done, and the channels of these
        self.begun: tuple[int, set[int]] | None = None
        self._columns: dict[int, WindowBlend] = {}
        self._flat = plan.card.z_projection
        self._even = plan.tile_size.advance is not None
        self._shares = _lateral_shares(self.grid) if self.grid.seams else None
        self._lateral: LateralResampling | None = None
        if plan.request.grid == "input":
            self._lateral = LateralResampling(
                plan.model_shape[1:],
                plan.model_pixel,
                plan.input_pixel,
                (plan.output_shape[-2], plan.output_shape[-1]),
            )

    @property
    def finished(self) -> bool:
        """Whether every tile is blended."""
        return not self.left and self.begun is None

    def choices(self, after: int | None = None) -> list[int]:
        """Tiles that may be predicted next, or next after a tile is done."""
        if self.begun and after is None:
            return [self.begun[0]]
        return [index for index in self.left if index != after]

    def add(self, index: int, rows: Sequence[int], prediction: np.ndarray) -> Box:
        """Blend in (C, D, h, w) of a tile, of some of the plan's channels."""
        done = self.begun[1] if self.begun else set()
        if not done:  # not before: a tile that fails must have no weight yet
            self.left.remove(index)
        column, tile = self.grid.column(index), self.grid.tiles[index]
        if column.index not in self._columns:
            self._columns[column.index] = self._started(column, tile)
        self._columns[column.index].add(tile, rows, prediction)
        done = done | set(rows)
        whole = len(done) == len(self.plan.channels)
        self.begun = None if whole else (index, done)
        return self._added(column, index, rows)

    def finish(self) -> None:
        """Complete what waits for all tiles."""

    def repeated(self, index: int) -> bool:
        """Whether a tile is done already, and predicted for those above it alone."""
        return False

    def projected(self, tile: Tile, prediction: np.ndarray) -> tuple[Tile, np.ndarray]:
        """Return a tile and its prediction as they lie in the output."""
        if self._flat == "none":
            return tile, prediction
        place = replace(tile, z=(0, 1), keep_z=(0, 1), core=((0, 1), *tile.core[1:]))
        return place, flattened(prediction, self._flat)

    def _started(self, column: Column, tile: Tile) -> WindowBlend:
        raise NotImplementedError

    def _added(self, column: Column, index: int, rows: Sequence[int]) -> Box:
        raise NotImplementedError

    def _area(self, column: Column, read: Read) -> np.ndarray:
        """Return (C, D, h, w) of what a column's output is made from.

        Where columns cross-fade, the same sum is taken in the same order, whatever
        the order in which they came.
        """
        if self._shares is None:
            place = map(within, column.source, column.keep)
            whole = read(column, *place)
            assert whole is not None
            return whole[0]
        total = weights = np.zeros(0, np.float32)
        complete = True
        for other in self.grid.contributors(column.source):
            y, x = map(common, other.keep, column.source)
            assert y is not None
            assert x is not None
            rows, columns = within(y, other.keep[0]), within(x, other.keep[1])
            part = read(other, rows, columns)
            complete &= part is not None and bool(part[1].all())
            if part is None:
                continue
            values, reached = part
            if not total.size:
                size = [stop - start for start, stop in column.source]
                total = np.zeros((*values.shape[:2], *size), np.float32)
                weights = np.zeros(total.shape[1:], np.float32)
            along_y, along_x = map(dict.__getitem__, self._shares, other.core)
            share = along_y[rows, None] * along_x[columns]
            area = within(y, column.source[0]), within(x, column.source[1])
            total[..., *area] += share * values
            weights[:, *area] += share * reached[:, None, None]
        return total if complete else total / np.maximum(weights, 1e-6)

    def _on_output(self, column: Column, values: np.ndarray) -> np.ndarray:
        """Bring (…, h, w) of what a column's output is made from onto its pixels."""
        if self._lateral is None:
            return values
        y, x = (slice(*span) for span in column.output)
        source = self._lateral.source(y, x)
        rows, columns = (
            within((part.start, part.stop), whole)
            for part, whole in zip(source, column.source, strict=True)
        )
        values = values[..., rows, columns]
        size = y.stop - y.start, x.stop - x.start
        result = np.empty((*values.shape[:-2], *size), np.float32)
        for index in np.ndindex(*values.shape[:-2]):
            plane = np.ascontiguousarray(values[index])
            result[index] = self._lateral(plane, (y, x))
        return result


class MemoryBlend(Blend):
    """Blend into an array that is right at any moment, tiles in any order."""

    def __init__(self, plan: Plan, output: np.ndarray) -> None:
        super().__init__(plan)
        self.output = output
        plain = self._lateral is None and self._flat == "none"
        self._direct = plain and not self.grid.seams

    def _started(self, column: Column, tile: Tile) -> WindowBlend:
        y, x = (slice(*span) for span in column.keep)
        if self._direct:
            return WindowBlend(self.output[:, :, y, x], even=self._even)
        shape = (len(self.plan.channels), self.grid.shape[0], *column.kept_size)
        return WindowBlend(np.zeros(shape, np.float32), even=self._even)

    def _added(self, column: Column, index: int, rows: Sequence[int]) -> Box:
        """Show what a tile has changed."""
        box = self.grid.tiles[index].box
        if self._direct:
            return box
        changed = [column]
        if self.grid.seams:
            changed = [
                other
                for other in self.grid.columns
                if all(start < stop for start, stop in other.output)
                and all(map(common, other.source, column.keep))
            ]
        flat = self._flat != "none"
        z = slice(0, self.grid.shape[0]) if flat else box[0]
        shown = slice(0, 1) if flat else z
        for other in changed:
            for row in rows:
                self._show(other, row, z, shown)
        y, x = (
            slice(min(start for start, _ in spans), max(stop for _, stop in spans))
            for spans in zip(*(other.output for other in changed), strict=True)
        )
        waiting = self.begun or column in map(self.grid.column, self.left)
        if not self.grid.seams and not waiting:
            del self._columns[column.index]
        return shown, y, x

    def _show(self, column: Column, row: int, z: slice, shown: slice) -> None:
        def read(
            other: Column, y: slice, x: slice
        ) -> tuple[np.ndarray, np.ndarray] | None:
            blend = self._columns.get(other.index)
            if blend is None:
                return None
            return blend.values[row : row + 1, z, y, x], blend.weights[row, z] > 0

        values = self._area(column, read)
        if self._flat != "none":
            near = [other.index for other in self.grid.contributors(column.source)]
            blends = [self._columns[k] for k in near if k in self._columns]
            reached = [blend.weights[row] > 0 for blend in blends]
            values = flattened(values[:, np.any(reached, axis=0)], self._flat)
        y, x = (slice(*span) for span in column.output)
        self.output[row, shown, y, x] = self._on_output(column, values)[0]

    def finish(self) -> None:
        """Release what was needed on the way."""
        self._columns.clear()


class Store(Protocol):
    """Take the finished voxels of a `StreamBlend`; each is written once."""

    planes: int
    """Planes that are written together."""

    def planes_done(self, column: int) -> int:
        """Count the planes of a column's output that are there already."""

    def write(
        self, place: tuple[slice, slice, slice, slice], values: np.ndarray
    ) -> None:
        """Write (C, D, H, W) to that place of the output."""

    def keep(self, column: int, first: int, values: np.ndarray) -> None:
        """Keep planes of a column, (C, D, h, w), until its neighbours are there."""

    def planes_kept(self, column: int) -> int:
        """Count the planes of a column that are kept."""

    def kept(self, column: int, row: int, z: slice, y: slice, x: slice) -> np.ndarray:
        """Read one channel of what is kept of a column, (D, h, w)."""

    def forget_kept(self) -> None:
        """Remove all that is kept."""


class StreamBlend(Blend):
    """Blend column by column into a store; only planes that may change are in memory.

    What an earlier run has stored is not predicted again.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        super().__init__(plan)
        self._store = store
        self._projection: Projection | None = None
        self._column: int | None = None
        depth, columns = self.grid.shape[0], self.grid.columns
        stored = [store.planes_done(column.index) for column in columns]
        full = plan.output_shape[-3]
        self._written = all(planes == full for planes in stored)
        if self._flat != "none":
            stored = [planes and depth for planes in stored]
        if self.grid.seams and not self._written:
            stored = [store.planes_kept(column.index) for column in columns]
        self._stored = stored
        self.left = [
            window * len(columns) + column.index
            for column, planes in zip(columns, stored, strict=True)
            for window in range(self.grid.first_window(planes), len(self.grid.windows))
            if planes < depth
        ]
        # Tiles of all passes that are in the store already
        self.done_before = plan.passes * sum(map(self.grid.windows_done, stored))

    def repeated(self, index: int) -> bool:
        """Whether a tile is done already, and predicted for those above it alone."""
        window, column = divmod(index, len(self.grid.columns))
        return window < self.grid.windows_done(self._stored[column])

    def choices(self, after: int | None = None) -> list[int]:
        """The next window of the column that is under way, or the first of each."""
        if self.begun and after is None:
            return [self.begun[0]]
        firsts: dict[int, int] = {}
        for index in super().choices(after):
            firsts.setdefault(self.grid.column(index).index, index)
        column = self._column if after is None else self.grid.column(after).index
        return [firsts[column]] if column in firsts else list(firsts.values())

    def finish(self) -> None:
        """Put columns together that cross-fade, now that all are there."""
        if not self.grid.seams or self._written:
            return
        depth, step = self.grid.shape[0], self._store.planes
        for column in self.grid.columns:
            for row in range(len(self.plan.channels)):
                for first in range(0, depth, step):
                    z = slice(first, min(first + step, depth))
                    self._put(
                        column, slice(row, row + 1), first, self._kept(column, row, z)
                    )
        self._store.forget_kept()

    def _kept(self, column: Column, row: int, z: slice) -> np.ndarray:
        def read(other: Column, y: slice, x: slice) -> tuple[np.ndarray, np.ndarray]:
            values = self._store.kept(other.index, row, z, y, x)[None]
            return values, np.ones(values.shape[1], bool)

        return self._area(column, read)

    def _started(self, column: Column, tile: Tile) -> WindowBlend:
        step = self._store.planes
        first = self._stored[column.index]
        keeps = [keep for _, keep, _ in self.grid.windows]
        planes = max(stop - start // step * step for start, stop in keeps)
        shape = (len(self.plan.channels), planes, *column.kept_size)
        self._column, self._projection = column.index, None
        return WindowBlend(np.zeros(shape, np.float32), first, even=self._even)

    def _added(self, column: Column, index: int, rows: Sequence[int]) -> Box:
        """Write what no later window changes, in whole steps of planes."""
        tile, depth = self.grid.tiles[index], self.grid.shape[0]
        window, blend = index // len(self.grid.columns), self._columns[column.index]
        y, x = (slice(*span) for span in column.output)
        z = tile.box[0] if self._flat == "none" else slice(0, 1)
        if self.begun is None:
            step, stop = self._store.planes, self.grid.final_planes(window)
            stop = stop if stop == depth else stop // step * step
            self._release(column, blend, stop)
            if stop == depth:
                del self._columns[column.index]
        return z, y, x

    def _release(self, column: Column, blend: WindowBlend, stop: int) -> None:
        """Write all planes below `stop`, or keep them until neighbours are there."""
        step, everything = self._store.planes, slice(0, len(blend.values))
        both = zip(column.source, column.keep, strict=True)
        y, x = (within(part, whole) for part, whole in both)
        for first in range(blend.first, stop, step):
            last = min(first + step, stop)
            planes = blend.values[:, first - blend.first : last - blend.first]
            if self.grid.seams:
                self._store.keep(column.index, first, planes)
            else:
                self._put(column, everything, first, planes[..., y, x])
        if stop > blend.first:
            blend.drop(stop)

    def _put(self, column: Column, rows: slice, first: int, values: np.ndarray) -> None:
        """Project, resample and write the next planes of a column's output."""
        y, x = (slice(*span) for span in column.output)
        if y.start == y.stop or x.start == x.stop:
            return
        stop = first + values.shape[1]
        if self._flat != "none":
            self._projection = self._projection or Projection(self._flat)
            self._projection.add(values)
            if stop < self.grid.shape[0]:
                return
            values, first, stop = self._projection.result(), 0, 1
            self._projection = None
        z = slice(first, stop)
        if self._lateral is None:
            self._store.write((rows, z, y, x), values)
            return
        for number, channel in enumerate(values):  # one at a time, to save memory
            row = slice(rows.start + number, rows.start + number + 1)
            place = (row, z, y, x)
            self._store.write(place, self._on_output(column, channel[None]))


def flattened(values: np.ndarray, how: str) -> np.ndarray:
    """Project (C, D, h, w) over z, to (C, 1, h, w); see `Projection`."""
    projection = Projection(how)
    projection.add(values)
    return projection.result()


def _lateral_shares(grid: TileGrid) -> list[dict[Span, np.ndarray]]:
    """Weights along y and along x as shares that add up to 1, by core."""
    shares = []
    for axis in (0, 1):
        keeps = grid.axis_keeps(axis)
        ramps = {core: gaussian_ramp(keep, core) for core, keep in keeps}
        total = np.zeros(grid.shape[1 + axis])
        for core, keep in keeps:
            total[slice(*keep)] += ramps[core]
        shares.append(
            {
                core: (ramps[core] / total[slice(*keep)]).astype(np.float32)
                for core, keep in keeps
            }
        )
    return shares

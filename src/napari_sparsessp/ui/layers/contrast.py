"""Contrast limits, also of incomplete predictions; colours; truth beside prediction."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QObject

from napari_sparsessp.ui.layers.metadata import (
    KEY,
    PREDICTION,
    role_of,
    structure_named,
)
from napari_sparsessp.ui.preferences import Preferences, preference_news
from napari_sparsessp.volume import Volume

FIRST_LIMITS = (0.0, 3.0)
"""Before anything is known: predictions are in units of a z-scored truth."""
_PER_TILE = 4096
_AT_MOST = 400_000
# Predictions are soft: the middle of their values is background that would veil
# whatever lies below it.
_LOW, _HIGH = 65.0, 99.8
_LIGHT = (0.3, 99.7)


def limits_of(
    stack: Any, shares: tuple[float, float] = (_LOW, _HIGH)
) -> tuple[float, float]:
    """Return limits that show a stained structure, from some voxels of (D, H, W)."""
    low, high = np.nanpercentile(np.asarray(stack[::2, ::3, ::3]), shares)
    return float(low), float(max(high, low + 1e-3))


def light_limits_of(stack: Any) -> tuple[float, float]:
    """Return limits that show transmitted light, but for glints and specks."""
    return limits_of(stack, _LIGHT)


class ContrastEstimate:
    """Collect a few voxels of each finished tile; used in the worker thread."""

    def __init__(
        self, structures: Sequence[str], from_zero: Collection[str] = ()
    ) -> None:
        self._structures = tuple(structures)
        # uncertainties: black is to mean none
        self._from_zero = frozenset(from_zero)
        self._samples: dict[str, list[np.ndarray]] = {id_: [] for id_ in structures}
        self._kept = dict.fromkeys(structures, 0)

    def add(self, tile: np.ndarray, structures: Sequence[str] | None = None) -> None:
        """Take some voxels of a tile, (S, d, h, w), of all structures or these."""
        if tile.size == 0:
            return
        voxels = tile[0].size
        step = max(1, round((voxels / _PER_TILE) ** (1 / 3)))
        for id_ in self._structures if structures is None else structures:
            if self._kept[id_] < _AT_MOST:
                row = tile[self._structures.index(id_)]
                some = np.array(row[::step, ::step, ::step]).reshape(-1)
                self._samples[id_].append(some)
                self._kept[id_] += some.size

    def limits(
        self, *, complete: bool, structures: Sequence[str] | None = None
    ) -> dict[str, tuple[float, float]]:
        """Return limits (low, high) by structure, as far as they are known.

        Until all voxels are predicted the lower limit is at least 0, so that missing
        voxels (0 in the buffer) stay black.
        """
        limits = {}
        for id_ in self._structures if structures is None else structures:
            values = np.concatenate(self._samples[id_] or [np.empty(0)])
            values = values[np.isfinite(values)]
            if values.size:
                low, high = np.percentile(values, (_LOW, _HIGH))
                low = low if complete else max(low, 0.0)
                low = 0.0 if id_ in self._from_zero else low
                limits[id_] = (float(low), float(max(high, low + 0.1)))
        return limits


Scale = tuple[float, float]
_PLANES = 7


def truth_scale(volume: Volume) -> Scale:
    """Return mean and standard deviation of a truth, from some of its planes."""
    one = volume.time(0)
    last = one.sizes["Z"] - 1
    chosen = sorted({round(k * last / (_PLANES - 1)) for k in range(_PLANES)})
    some = one.planes(chosen)[:, ::2, ::2]
    return float(np.nanmean(some)), float(np.nanstd(some))


_ROBUST = (1.0, 99.0)
_SIDE = 160  # so many voxels are looked at along y and x


def robust_range(layer: Any) -> tuple[float, float] | None:
    """Return the range of all but the outermost 1 % of a layer's voxels, by some.

    Of a prediction only what is filled; None where there is nothing.
    """
    pixels = layer.data[-1] if getattr(layer, "multiscale", False) else layer.data
    stack = pixels[None] if pixels.ndim == 2 else pixels[(0,) * (pixels.ndim - 3)]
    step = max(1, max(stack.shape[-2:]) // _SIDE)
    planes = np.unique(np.linspace(0, len(stack) - 1, _PLANES).round().astype(int))
    some = np.stack([np.asarray(stack[z, ::step, ::step]) for z in planes])
    some = some[np.isfinite(some)]
    some = some[some != 0] if role_of(layer) == PREDICTION else some
    if not some.size:
        return None
    low, high = np.percentile(some, _ROBUST)
    return float(low), float(high)


class ContrastLink:
    """Show a truth and its predictions by the same limits, until undone.

    They are those of the first prediction, in units of the z-scored truth: whenever it
    is whole, so wide that the robust range of each image lies within.
    """

    def __init__(self, truth: Any | None, predictions: list[Any], scale: Scale) -> None:
        self._first, *others = predictions
        self._scales = [(one, 0.0, 1.0) for one in others]
        if truth is not None:
            self._scales.append((truth, *scale))
        self._before = [(one, tuple(one.contrast_limits)) for one, *_ in self._scales]
        self._own = tuple(self._first.contrast_limits)
        if self._first.metadata[KEY].get("state") != "running":
            self._first.contrast_limits = self._common()
        self._shared = tuple(self._first.contrast_limits)
        self._first.events.contrast_limits.connect(self.follow)
        self.follow()

    def _common(self) -> tuple[float, float]:
        ends = []
        for layer, mean, spread in [(self._first, 0.0, 1.0), *self._scales]:
            found = robust_range(layer)
            if found is not None and spread > 0:
                ends += [(end - mean) / spread for end in found]
        return (min(ends), max(ends)) if ends and max(ends) > min(ends) else self._own

    def follow(self, _event: Any = None) -> None:
        """Take the first prediction's limits over."""
        for layer, mean, spread in self._scales:
            low, high = (mean + spread * z for z in self._first.contrast_limits)
            if np.isfinite([low, high]).all() and high > low:
                layer.contrast_limits = (low, high)

    def undo(self) -> None:
        """Restore the limits that each layer had; the user's own stay."""
        self._first.events.contrast_limits.disconnect(self.follow)
        if tuple(self._first.contrast_limits) == self._shared:
            self._first.contrast_limits = self._own
        for layer, limits in self._before:
            layer.contrast_limits = limits


class Recolouring(QObject):
    """Recolour a viewer's structures; those that the user coloured stay."""

    def __init__(self, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        preference_news().changed.connect(self._on_preferences)

    def _on_preferences(self, before: Preferences, now: Preferences) -> None:
        for layer in self._viewer.layers:
            structure = _structure_shown(layer)
            if structure is None or before.colour(structure) == now.colour(structure):
                continue
            if str(layer.colormap.name).lower() == before.colour(structure):
                layer.colormap = now.colour(structure)


def _structure_shown(layer: Any) -> str | None:
    """Return which structure a layer shows: as marked, or by its name."""
    if not hasattr(layer, "contrast_limits"):  # no image
        return None
    if role_of(layer):
        own = role_of(layer) == PREDICTION
        return str(layer.metadata[KEY]["structure"]) if own else None
    named = structure_named(layer.name)
    return None if named is None else named.id


class FlatTruth:
    """Spread a truth layer of one plane over its prediction's depth, until undone.

    A projection stands for a whole stack; a layer with its maximum projection lies in
    one plane and would vanish at every other one.
    """

    def __init__(self, truth: Any, prediction: Any) -> None:
        self._truth = truth
        self._before = np.array(truth.scale), np.array(truth.translate)
        for name in ("scale", "translate"):
            values = np.array(getattr(truth, name))
            values[-3] = getattr(prediction, name)[-3]
            setattr(truth, name, values)

    def undo(self) -> None:
        """Put the truth back where it lay."""
        self._truth.scale, self._truth.translate = self._before


def lies_flat(truth: Any, prediction: Any) -> bool:
    """Return whether both are one plane, at different depths or not as thick."""
    if truth.ndim < 3 or prediction.ndim < 3:
        return False
    own, other = ((one.scale[-3], one.translate[-3]) for one in (truth, prediction))
    flat = truth.data.shape[-3] == prediction.data.shape[-3] == 1
    return flat and not np.allclose(own, other)

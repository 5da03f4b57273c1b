"""Scale input values: one mean and one standard deviation for the stack.

They are of the measured planes of one time point: a lamp that drifts or a dye that
bleaches must not change what a network sees of the later ones. Planes that show
nothing take no part.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.volume import as_float32

CLIP = (0.05, 99.95)
"""Percentiles outside which values do not count for the normalisation: hot pixels."""

SAMPLE = 4_000_000
"""Values, at least, that the robust statistics of a larger stack are taken from."""

LOOK = 4096
"""Values of a plane, about, that decide whether it shows anything."""

FLAT = 0.95
"""Share of a plane that is one and the same value, where it shows nothing: zeros of a
frame that was not written, or saturation. The rest may be hot pixels."""

DARK = 0.05
"""A plane of less than this share of the others' spread shows nothing either, if its
level lies outside what they hold: the shutter was closed, or nearly all is saturated.
"""

PADDING = 0.002, 0.5
"""Share of a plane that one value fills from the border inwards where a stack was
shifted, rotated or stitched. More is rather the background of a few objects."""

CLIFF = 0.05
"""Step at the edge of padding, at least, in the width of the image's own values. Light
that fades into darkness, or glares into saturation, has none."""

FINEST = 64
"""Steps of a 32-bit number, at least, in one deviation of the values."""


class BlankImage(InputError):
    """All values are the same, or none is a number: nothing to predict from."""


@dataclass(frozen=True)
class Normalisation:
    """Input values become (value − mean) / std."""

    mean: float  # Of the measured planes; 0 and 1 where a model takes them as they are
    std: float
    # Which of the measured planes are empty or saturated: they took no part
    left_out: tuple[int, ...] = ()
    padding: float = 0.0  # Share that is padding of one value at the border


class Survey:
    """The statistics of a stack that is read in parts.

    In whatever parts and order it comes, the numbers are the same to the bit.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        scaling: str = "robust",
        padding: float | None = None,  # Its value, from `padding_value`
    ) -> None:
        self._shape, self._scaling, self._padding = shape, scaling, padding
        # Columns of each row between which the image lies
        self.inside = np.zeros((*shape[:2], 2), np.int64)
        self.inside[..., 1] = shape[2]
        total = math.prod(shape)
        self._step = max(1, total // SAMPLE)
        self._sample = np.full(-(-total // self._step), np.nan, np.float32)
        sampled = scaling in ("robust", "median_iqr")
        self._rows = None if sampled else _RowSums(shape[:2])
        self.invalid = np.zeros(shape[0], np.int64)
        """NaN and infinite values in each plane."""

    def add(self, plane: int, row: int, values: np.ndarray) -> np.ndarray | None:
        """Count whole rows of a plane; return which pixels show nothing, if any."""
        values = np.ascontiguousarray(as_float32(values))
        bad = ~np.isfinite(values)
        self.invalid[plane] += int(bad.sum())
        if self._padding is not None:
            spans = image_spans(values, self._padding)
            self.inside[plane, row : row + len(values)] = spans
            bad |= beyond(spans, slice(0, values.shape[1]))
        if bad.any():
            values = np.where(bad, np.float32(np.nan), values)
        _, height, width = self._shape
        before = (plane * height + row) * width
        first = -(-before // self._step)
        picked = values.reshape(-1)[first * self._step - before :: self._step]
        self._sample[first : first + len(picked)] = picked
        if self._rows is not None:
            self._rows.add(plane, row, values)
        return bad if bad.any() else None

    @property
    def padding(self) -> float:
        """Share of the stack that is padding."""
        total = math.prod(self._shape)
        return (total - int(np.diff(self.inside).sum())) / total

    def result(self) -> Normalisation:
        """Mean and deviation of what was counted, all of the stack."""
        left_out = empty_planes(self.sampled())
        if self._scaling == "median_iqr":
            mean, std = _quartiles(self.sampled(), left_out)
        elif self._rows is None:
            mean, std = _clipped(self.sampled(), left_out)
        else:
            mean, std = self._rows.total(left_out)
        if not std > 1e-9 * max(abs(mean), 1e-30):
            raise BlankImage(
                "the image is constant, so there is nothing to predict from; check "
                "that the right channel and file were chosen"
            )
        # In the 32 bits that networks take, a large level swallows the image.
        if std < FINEST * float(np.spacing(np.float32(abs(mean)))):
            raise InputError(
                f"the values lie so far from zero (around {mean:.3g}) that their "
                "differences are lost in 32-bit numbers; subtract that level first"
            )
        if self._scaling == "none":
            return Normalisation(0.0, 1.0, padding=self.padding)
        return Normalisation(mean, std, left_out, self.padding)

    def sampled(self) -> list[np.ndarray]:
        """Return some values of each plane; NaN where invalid."""
        size = self._shape[1] * self._shape[2]
        starts = [-(-plane * size // self._step) for plane in range(self._shape[0] + 1)]
        return [
            self._sample[start:stop]
            for start, stop in zip(starts, starts[1:], strict=False)
        ]


def normalise(planes: np.ndarray, scaling: str = "robust") -> Normalisation:
    """Mean and deviation of the finite values of all measured planes (n, H, W)."""
    survey = Survey(planes.shape, scaling)  # type: ignore[arg-type]
    for index, plane in enumerate(planes):
        survey.add(index, 0, plane)
    return survey.result()


def empty_planes(planes: Sequence[np.ndarray]) -> tuple[int, ...]:
    """Return which planes show nothing: empty, saturated or dark."""
    looks = [_look(plane) for plane in planes]
    levels = [float(np.median(look)) if look.size else math.nan for look in looks]
    flat = [
        not look.size or float(np.mean(look == level)) >= FLAT
        for look, level in zip(looks, levels, strict=True)
    ]
    shown = [index for index, is_flat in enumerate(flat) if not is_flat]
    if not shown:
        return ()
    inner = {index: np.percentile(looks[index], (1, 99)) for index in shown}
    usual = float(np.median([high - low for low, high in inner.values()]))
    for index in shown:
        low, high = inner[index]
        others = [inner[other] for other in shown if other != index]
        flat[index] = high - low < DARK * usual and (
            high < min(bounds[0] for bounds in others)
            or low > max(bounds[1] for bounds in others)
        )
    return tuple(index for index, is_flat in enumerate(flat) if is_flat)


def padding_value(planes: Iterable[np.ndarray]) -> float | None:
    """Return the value with which whole planes are padded at their border, if any."""
    for plane in planes:
        border = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
        values, counts = np.unique(border[np.isfinite(border)], return_counts=True)
        if not len(values):
            continue
        value = float(values[counts.argmax()])
        outside = beyond(image_spans(plane, value), slice(0, plane.shape[1]))
        grown = np.pad(outside, 1)
        grown = grown[2:, 1:-1] | grown[:-2, 1:-1] | grown[1:-1, 2:] | grown[1:-1, :-2]
        edge, rest = (
            part[np.isfinite(part)]
            for part in (plane[grown & ~outside], plane[~outside])
        )
        enough = max(16, PADDING[0] * plane.size) <= outside.sum()
        if not enough or outside.mean() > PADDING[1] or not edge.size or not rest.size:
            continue
        width = float(np.ptp(np.percentile(rest, (1, 99))))
        cliff = float(np.median(np.abs(edge - value)))
        if np.mean(rest == value) < 0.01 and cliff > CLIFF * width > 0:
            return value
    return None


def image_spans(rows: np.ndarray, padding: float) -> np.ndarray:
    """Return (n, 2) columns between which rows show anything but padding."""
    shown, width = rows != padding, rows.shape[1]
    first, last = shown.argmax(1), width - shown[:, ::-1].argmax(1)
    # A single pixel at an end may have that value by chance.
    first, last = np.where(first < 2, 0, first), np.where(last > width - 2, width, last)
    return np.stack([first, np.where(shown.any(1), last, first)], axis=1)


def beyond(spans: np.ndarray, columns: slice) -> np.ndarray:
    """Return which pixels of rows lie outside of what they show."""
    place = np.arange(columns.start, columns.stop)
    return (place < spans[:, :1]) | (place >= spans[:, 1:])


def probes(numbers: Sequence[int]) -> list[int]:
    """Choose the first, the middle and the last, in which padding is looked for."""
    return sorted({numbers[0], numbers[len(numbers) // 2], numbers[-1]})


def plane_list(by_time: Mapping[int | None, Iterable[int]]) -> str:
    """Name planes for people; empty where there are none."""
    found = {time: list(planes) for time, planes in by_time.items()}
    found = {time: planes for time, planes in found.items() if planes}
    if not found:
        return ""
    time, planes = next(iter(found.items()))
    runs: list[list[int]] = []
    for plane in planes:
        if runs and runs[-1][1] == plane - 1:
            runs[-1][1] = plane
        else:
            runs.append([plane, plane])
    which = [f"{first}–{last}" if last > first else str(first) for first, last in runs]
    which = which[:8] + ["…"] * (len(runs) > 8)
    text = f"plane{'s' if len(planes) > 1 else ''} {', '.join(which)}"
    if time is not None:
        text += f" of time point {time}"
    return text + f" (and planes of {len(found) - 1} more)" * (len(found) > 1)


def left_out_note(by_time: Mapping[int | None, Iterable[int]]) -> str:
    """Describe which planes took no part in the normalisation."""
    text = plane_list(by_time)
    return text and (
        f"{text} {'are' if text.startswith('planes') or '(' in text else 'is'} empty "
        "or saturated and took no part in the normalisation; expect nothing right "
        "there and in the planes around"
    )


def _look(plane: np.ndarray) -> np.ndarray:
    values = plane[:: max(1, plane.size // LOOK)]
    return values[np.isfinite(values)]


def _clipped(
    planes: Sequence[np.ndarray], left_out: Sequence[int]
) -> tuple[float, float]:
    """Mean and deviation of a sample without its most extreme values."""
    sample = _kept(planes, left_out)
    if not sample.size:
        return 0.0, 0.0
    bounds = np.percentile(sample, CLIP)
    np.clip(sample, *bounds, out=sample)
    return float(sample.mean()), float(sample.std())


def _quartiles(
    planes: Sequence[np.ndarray], left_out: Sequence[int]
) -> tuple[float, float]:
    """Median and interquartile range of a sample.

    InputError: half of it is one value, and the image is not constant.
    """
    sample = _kept(planes, left_out)
    if not sample.size:
        return 0.0, 0.0
    low, middle, high = np.percentile(sample, (25, 50, 75))
    if high == low and np.ptp(sample) > 0:
        raise InputError(
            f"half of the image has the value {middle:.3g}, so it has no interquartile "
            "range to be scaled by; crop it to the cells, or choose another channel"
        )
    return float(middle), float(high - low)


def _kept(planes: Sequence[np.ndarray], left_out: Sequence[int]) -> np.ndarray:
    """Return the finite values of all planes but some."""
    kept = [plane for index, plane in enumerate(planes) if index not in set(left_out)]
    sample = np.concatenate(kept) if kept else np.empty(0)
    return sample[np.isfinite(sample)].astype(np.float64)


class _RowSums:
    """Count, mean and squared deviations of each row, so that parts do not matter."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._count, self._mean, self._squares = np.zeros((3, *shape))

    def add(self, plane: int, row: int, values: np.ndarray) -> None:
        place = plane, slice(row, row + len(values))
        numbers = values.astype(np.float64)
        finite = ~np.isnan(numbers)
        count = finite.sum(axis=1)
        mean = np.where(finite, numbers, 0).sum(axis=1) / np.maximum(count, 1)
        numbers -= mean[:, None]
        np.square(numbers, out=numbers)
        self._count[place], self._mean[place] = count, mean
        self._squares[place] = np.where(finite, numbers, 0).sum(axis=1)

    def total(self, left_out: Sequence[int]) -> tuple[float, float]:
        """Mean and deviation over the rows of all planes but some."""
        kept = np.setdiff1d(np.arange(len(self._count)), left_out)
        count, mean, squares = (
            part[kept] for part in (self._count, self._mean, self._squares)
        )
        total = float(count.sum())
        if not total:
            return 0.0, 0.0
        # Around one of them, so that a large level cancels out of the squares.
        origin = float(mean[count > 0][0])
        shift = float((count * (mean - origin)).sum()) / total
        around = (count * (mean - origin - shift) ** 2).sum()
        return origin + shift, float((squares.sum() + around) / total) ** 0.5


def normalised(values: np.ndarray, scale: Normalisation) -> np.ndarray:
    """(values − mean) / std in float32, a copy."""
    values = values - np.float32(scale.mean)
    values /= np.float32(scale.std)
    return values

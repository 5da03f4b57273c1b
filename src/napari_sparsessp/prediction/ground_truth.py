"""Survey a ground truth: hot pixels, and planes that are empty or saturated.

One hot pixel at 65,535 can be most of a fluorescence image's variance, and planes that
the camera lost are no darkness. Neither may set the scale that scores and training use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.normalisation import (
    Survey,
    beyond,
    empty_planes,
    padding_value,
    plane_list,
    probes,
)
from napari_sparsessp.volume import Volume, as_float32

FAR = 10.0
"""A hot pixel lies this many times farther from the plane's median than the median of
its 3×3 neighbours does, and than 98 % of the truth is wide. An object of the size of
the resolution lights its neighbours: it is never taken for one."""

USUAL = 0.5
"""Share of the other planes with the value of an empty one, from which on it is what
the background of this truth is, as after subtraction of one."""

LABELS = 0.9
"""Share of neighbouring pixels above 0 that are equal in label images and masks; noise
makes those of a camera differ."""

Pixels = tuple[np.ndarray, np.ndarray, np.ndarray]  # y, x and value


@dataclass(frozen=True, eq=False)
class TruthSurvey:
    """A truth as it may be scored and learned from, and what was changed."""

    truth: Volume  # ZYX, float32 if anything was changed; empty planes are NaN
    hot: int = 0  # Pixels that now have the median of their neighbours
    empty: tuple[int, ...] = ()  # Planes, saturated ones included
    blank: bool = False  # All of it is one value
    padding: float = 0.0  # Share that is padding of one value at the border, now NaN
    mask: bool = False  # Objects of one value on 0: no brightness, but a foreground


def survey_truth(truth: Volume) -> TruthSurvey:
    """Replace hot pixels of a truth (ZYX), and leave out planes that show nothing.

    Each plane is read once, three of them twice; a lazy truth stays lazy, one in memory
    is copied. It is returned as it is where nothing was found. InputError: it is a
    label image.
    """
    depth, height, width = truth.shape
    padding = padding_value(truth.planes(probes(range(depth))))
    survey = Survey((depth, height, width), padding=padding)
    suspects, pairs = {}, np.zeros((depth, 4))
    for number in range(depth):
        plane = truth.planes([number])[0]
        survey.add(number, 0, plane)
        suspects[number] = _suspects(plane)
        pairs[number] = _equal_pairs(plane)
    samples = survey.sampled()
    empty = tuple(k for k in empty_planes(samples) if not _usual(samples, k))
    inner = np.concatenate([x for k, x in enumerate(samples) if k not in empty])
    inner = inner[np.isfinite(inner)]
    if not inner.size or np.ptp(inner) == 0:
        return TruthSurvey(truth, blank=True)
    equal, shown, steps, jumps = np.delete(pairs, empty, 0).sum(0)
    several = len(np.unique(inner[inner > 0])) > 1
    # Few grey levels of a smooth image are equal too, but rise by one.
    if equal > LABELS * shown and (jumps > 0.2 * steps or not several):
        if several:
            raise InputError(
                "it is a label image, whose numbers are no brightness; give the "
                "fluorescence that it was made from, or a mask of 0 and 1 to score the "
                "foreground"
            )
        return TruthSurvey(truth, mask=True)
    usual = float(np.ptp(np.percentile(inner, (1, 99))))
    hot: dict[int, Pixels] = {}
    for number, (y, x, far, near, level) in suspects.items():
        chosen = (far > FAR * np.maximum(near, usual)) & (usual > 0)
        if number not in empty and chosen.any():
            hot[number] = y[chosen], x[chosen], level[chosen]
    if not hot and not empty and not survey.padding:
        return TruthSurvey(truth)
    array: Any = _Cleaned(truth, hot, empty, survey.inside)
    if isinstance(truth.array, np.ndarray):
        array = array[:, :, :]
    count = sum(len(y) for y, _, _ in hot.values())
    cleaned = truth.with_(array=array)
    return TruthSurvey(cleaned, count, empty, padding=survey.padding)


def survey_note(name: str, surveys: Mapping[int | None, TruthSurvey]) -> str | None:
    """Describe what was changed in the truth of a structure, by time point."""
    hot = sum(survey.hot for survey in surveys.values())
    words = []
    if hot:
        words.append(
            f"{hot} hot pixel{'s' * (hot > 1)} replaced by the median of the neighbours"
        )
    if planes := plane_list({time: one.empty for time, one in surveys.items()}):
        words.append(f"{planes}, empty or saturated, not scored")
    if most := max(survey.padding for survey in surveys.values()):
        words.append(f"padding of one value ({most:.1%} of it) not scored")
    if any(survey.mask for survey in surveys.values()):
        words.append("a mask: where objects are is scored, not how bright they are")
    blank = [str(time) for time, survey in surveys.items() if survey.blank]
    if blank:
        points = "time points" if len(blank) > 1 else "time point"
        words.append(f"nothing at {points} {', '.join(blank)}, not scored there")
    return f"the truth of {name}: {'; '.join(words)}" if words else None


class _Cleaned:
    """A truth's voxels, changed while they are read."""

    dtype = np.dtype(np.float32)
    ndim = 3

    def __init__(
        self,
        truth: Volume,
        hot: dict[int, Pixels],
        empty: tuple[int, ...],
        inside: np.ndarray,
    ) -> None:
        self.shape, self.chunks = truth.shape, truth.chunks
        self._truth, self._hot, self._empty = truth, hot, empty
        self._inside = inside

    def __getitem__(self, key: tuple[slice, slice, slice]) -> np.ndarray:
        numbers = range(self.shape[0])[key[0]]
        values = as_float32(self._truth.region(numbers, *key[1:])).copy()
        columns = slice(*key[2].indices(self.shape[2]))
        for number, part in zip(numbers, values, strict=True):
            part[beyond(self._inside[number, key[1]], columns)] = np.nan
            if number in self._empty:
                part[:] = np.nan
            elif number in self._hot:
                y, x, level = self._hot[number]
                whole = np.zeros(self.shape[1:], np.int64)
                whole[y, x] = np.arange(1, len(y) + 1)
                which = whole[key[1:]]
                part[which > 0] = level[which[which > 0] - 1]
        return values


def _suspects(plane: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows, columns, distance from the median, that of the neighbours, their median."""
    look = plane.reshape(-1)[:: max(1, plane.size // 4096)]
    look = look[np.isfinite(look)]
    low, middle, high = np.percentile(look, (1, 50, 99)) if look.size else np.zeros(3)
    y, x = np.nonzero(np.abs(plane - middle) > FAR * (high - low))
    if len(y) > 0.01 * plane.size + 4:  # no outliers any more
        y = x = y[:0]
    beside = np.array(
        [
            plane[
                np.clip(y + down, 0, plane.shape[0] - 1),
                np.clip(x + right, 0, plane.shape[1] - 1),
            ]
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
        ]
    )
    level = np.median(beside, axis=0)
    return y, x, np.abs(plane[y, x] - middle), np.abs(level - middle), level


def _equal_pairs(plane: np.ndarray) -> tuple[int, ...]:
    """Count neighbours that are the same whole number above 0, and all above 0.

    Then those that differ, and by more than 1. In 64 of a plane's rows.
    """
    rows = plane[:: max(1, len(plane) // 64)]
    left, right = rows[:, :-1], rows[:, 1:]
    shown = left > 0
    equal = shown & (left == right) & (left == np.rint(left))
    step = np.abs(left - right)
    return tuple(int(one.sum()) for one in (equal, shown, step > 0, step > 1))


def _usual(samples: list[np.ndarray], number: int) -> bool:
    """Whether the value of a flat plane is what most of the others show."""
    level = np.median(samples[number])
    shares = [np.mean(other == level) for k, other in enumerate(samples) if k != number]
    return bool(np.median(shares) >= USUAL) if shares else True

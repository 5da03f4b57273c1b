"""Tell whether an image is of the kind that the model was made for.

A network always gives an answer, also where it has never seen anything alike, and then
it invents. So a few traits of the measured planes (`traits`) are held against the range
that they had in what the model learned from, which its card keeps.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from napari_sparsessp.models.card import ModelCard, Range
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.traits import (
    SIDE,
    image_traits,
    neighbours,
    recording_traits,
    windows,
)
from napari_sparsessp.resampling import resample_yx
from napari_sparsessp.volume import Volume

MARGIN = 0.25
"""Share of a range's width by which a trait may lie outside of it, unremarked.

The ranges are the 1st to 99th percentile of some hundred patches; `docs/familiarity.md`
has what this margin lets through and what it stops."""

LARGEST_READ = 2**24
"""Values that are read at once: 64 MiB."""

MOST_CLIPPED = 0.01
"""Share of pixels at the darkest or the brightest value; no light that was recorded
within the camera's range comes near it."""

STRONGEST_BLOCKS = 1.25
"""Steps at every eighth pixel over the others; 1 but for chance without compression."""


@dataclass(frozen=True)
class _Side:
    """What a trait above or below its range is called, may mean, and asks for."""

    what: str
    meaning: str
    advice: str


_NOISE = _Side(
    "the finest detail is {factor} times stronger",
    "noise, or pixels smaller than the voxel size says",
    "record with more light or average, and check the voxel size",
)
_BLUR = _Side(
    "the finest detail is {factor} times weaker",
    "smoothed, out of focus, or pixels larger than the voxel size says",
    "give the image as it was recorded, and check the voxel size",
)
_SIDES: dict[tuple[str, bool], _Side] = {
    ("finest", True): _NOISE,
    ("finest", False): _BLUR,
    ("fine", True): _Side(
        "fine detail is {factor} times stronger",
        "noise, other cells, or pixels smaller than the voxel size says",
        "check channel and voxel size",
    ),
    ("fine", False): _Side(
        "fine detail is {factor} times weaker",
        "smoothed, out of focus, or pixels larger than the voxel size says",
        "give the image as it was recorded, and check the voxel size",
    ),
    ("coarse", True): _Side(
        "slow changes of brightness are {factor} times stronger",
        "uneven light, objects out of focus, or pixels larger than the voxel size says",
        "correct the illumination, and check the voxel size",
    ),
    ("coarse", False): _Side(
        "slow changes of brightness are {factor} times weaker",
        "cells without surroundings, a filtered image, or another contrast",
        "check that it is the transmitted-light channel as it was recorded",
    ),
    ("skewness", True): _Side(
        "it has more of bright spots on dark ground",
        "fluorescence or another contrast",
        "check the channel",
    ),
    ("skewness", False): _Side(
        "it has more of dark spots on bright ground",
        "an inverted image or another contrast",
        "check the channel",
    ),
    ("peaks", True): _Side(
        "a few spots carry most of its contrast",
        "fluorescence, dirt, or another contrast",
        "check the channel",
    ),
    ("peaks", False): _Side(
        "its brightness hardly rises above one level",
        "a clipped image or a test pattern",
        "check the channel",
    ),
    ("alike", True): _Side(
        "neighbouring planes are more alike",
        "planes closer in z than the voxel size says, copies, or no change with focus",
        "check the step in z",
    ),
    ("alike", False): _Side(
        "neighbouring planes are less alike",
        "noise, movement, or planes farther apart in z than the voxel size says",
        "check the step in z",
    ),
}

_LOGARITHMS = ("coarse", "fine", "finest")

_OTHER_LIGHT = {
    "phase contrast": ("phase", "ph1", "ph2", "ph3"),
    "DIC": ("dic", "nomarski", "dicii"),
    "fluorescence": ("fluorescence", "dapi", "hoechst", "gfp", "fitc", "cy3", "cy5",
                     "tritc", "rfp", "mcherry", "dna"),
    "bright-field": ("brightfield", "bright", "bf"),
}  # fmt: skip
"""Words of a channel's name that tell how it was recorded."""


def unfamiliar(plan: Plan) -> tuple[str, ...]:
    """Say in what an image is unlike what the model learned from.

    Only the first time point is looked at, up to eight of its planes, in windows.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    tuple of str
        Sentences: what, how far, what it may mean and what to do; empty where nothing
        is unlike, and for a model whose card has no `familiarity`.

    Raises
    ------
    InputError
        The image is damaged.
    """
    card = plan.card
    if not card.familiarity:
        return ()
    found = [*_channel_words(plan.volume, card)]
    traits, distance = measure(plan)
    found += _recording(traits)
    unlike = _outside(traits, distance, card.familiarity)
    return (*found, *(_sentence(*one, card) for one in unlike))


def measure(plan: Plan) -> tuple[dict[str, float], float]:
    """Measure the traits of a plan's measured planes, as its model would see them.

    Returns
    -------
    traits : dict
        As `image_traits` and `recording_traits` name them.
    distance : float
        µm between neighbouring measured planes that were compared; 0 of one plane.
    """
    view, pixel = plan.view, plan.input_pixel
    pairs = neighbours(len(view.planes)) or [(0, 0)]
    used = sorted({plane for pair in pairs for plane in pair})
    place = {plane: number for number, plane in enumerate(used)}
    volume = plan.volume if plan.times is None else plan.volume.time(plan.times[0])
    raw = list(_pieces(volume, [view.planes[k] for k in used], plan))
    flat = [_finite(piece) for piece in raw]
    seen = [resample_yx(piece, pixel, plan.model_pixel) for piece in flat]
    compared = [(place[one], place[other]) for one, other in pairs if one != other]
    traits = image_traits(seen, compared, plan.model_pixel[1], 0.5 / max(pixel))
    traits |= recording_traits(flat)
    gaps = [view.positions[b] - view.positions[a] for a, b in pairs]
    return traits, float(np.mean(gaps)) * plan.card.voxel_size[0]


def _pieces(volume: Volume, planes: list[int], plan: Plan) -> list[np.ndarray]:
    """Windows of some planes, as they are in the file."""
    spans = [
        windows(size, max(1, round(SIDE * model / own)))
        for size, own, model in zip(
            volume.shape[-2:], plan.input_pixel, plan.model_pixel, strict=True
        )
    ]
    # Each reading costs some time of its own, and small fields are read as one.
    outer = [slice(span[0].start, span[-1].stop) for span in spans]
    whole = None
    if len(planes) * np.prod([one.stop - one.start for one in outer]) <= LARGEST_READ:
        whole = volume.region(planes, *outer)
    pieces: list[np.ndarray] = []
    for rows, columns in product(*spans):
        if whole is None:
            piece = volume.region(planes, rows, columns)
        else:
            top, left = outer[0].start, outer[1].start
            piece = whole[
                :,
                rows.start - top : rows.stop - top,
                columns.start - left : columns.stop - left,
            ]
        pieces.append(np.asarray(piece, np.float32))
    return pieces


def _finite(piece: np.ndarray) -> np.ndarray:
    """Put the mean where nothing was measured."""
    known = np.isfinite(piece)
    if known.all():
        return piece
    return np.where(known, piece, piece[known].mean() if known.any() else 0)


def _channel_words(volume: Volume, card: ModelCard) -> list[str]:
    """Say where the channel's name tells of another kind of image."""
    words = " ".join(volume.channel_names).lower().replace("-", "").split()
    for light, known in _OTHER_LIGHT.items():
        if light != card.modality and any(word in known for word in words):
            return [
                f"the channel is called {volume.channel_names[0]!r}, and {card.id} "
                f"learned from {card.modality}: if it is {light}, what is predicted "
                "means nothing; choose the transmitted-light channel"
            ]
    return []


def _recording(traits: dict[str, float]) -> list[str]:
    found = []
    if traits["saturated"] > MOST_CLIPPED:
        found.append(
            f"{traits['saturated']:.0%} of the pixels have the darkest or the "
            "brightest value: clipped, and what was there is lost; expose for the "
            "whole range and save with more bits"
        )
    if traits.get("blocks", 1) > STRONGEST_BLOCKS:
        found.append(
            "the image shows the 8×8 blocks of JPEG compression, which look like "
            "structures to a network; use the file as it was recorded"
        )
    return found


def _outside(
    traits: dict[str, float], distance: float, known: dict[str, tuple[Range, ...]]
) -> list[tuple[str, float, float]]:
    """What is far outside of its range, farthest first, one for each kind and side.

    Returns
    -------
    list of tuple
        Trait, widths of its range by which it is outside, and signed excess.
    """
    kinds: dict[tuple[str, bool], tuple[str, float, float]] = {}
    for name, value in traits.items():
        span = range_at(known.get(name, ()), distance)
        if span is None:
            continue
        far = _widths(value, *span)
        if name.startswith("alike"):
            # Near one, a correlation says little by itself: 0.99 and 0.9999 differ.
            far = max(far, _widths(fisher(value), *map(fisher, span)))
        above = value > span[1]
        kind = ("fine" if name == "finest" else name.split("_")[0], above)
        if far > MARGIN and far > kinds.get(kind, ("", 0.0, 0.0))[1]:
            kinds[kind] = (name, far, value - span[int(above)])
    return sorted(kinds.values(), key=lambda one: -one[1])


def _widths(value: float, low: float, high: float) -> float:
    """By how many widths of a range a value lies outside of it."""
    return max(value - high, low - value) / (high - low)


def fisher(correlation: float) -> float:
    """Give artanh r, whose chance error is the same for every r (Fisher 1921).

    Parameters
    ----------
    correlation : float
        One that is almost 1 is taken for 0.9999.
    """
    return float(np.arctanh(np.clip(correlation, -0.9999, 0.9999)))


def range_at(ranges: tuple[Range, ...], distance: float) -> tuple[float, float] | None:
    """Give the range of a trait at a distance of planes.

    Parameters
    ----------
    ranges : tuple of Range
        One, where the distance does not matter; else one for each, ascending.
    distance : float
        µm

    Returns
    -------
    tuple of float or None
        Low and high; None beyond the distances that are known.
    """
    if not ranges:
        return None
    if ranges[0].distance is None:
        return ranges[0].low, ranges[0].high
    places = [one.distance or 0.0 for one in ranges]
    if not places[0] * 0.8 <= distance <= places[-1] * 1.1:
        return None
    low = np.interp(distance, places, [one.low for one in ranges])
    high = np.interp(distance, places, [one.high for one in ranges])
    return float(low), float(high)


def _sentence(name: str, far: float, excess: float, card: ModelCard) -> str:
    kind = name.split("_")[0]
    side = _SIDES[kind, excess > 0]
    times = 10 ** abs(excess)
    what = side.what.format(factor=f"{times:.2g}" if times < 100 else "over 100")
    if name not in _LOGARITHMS:
        what += f" (by {far:.2g} times the usual range)"
    return (
        f"{what} than in anything that {card.id} learned from: {side.meaning}; "
        f"expect invented structures, {side.advice}"
    )

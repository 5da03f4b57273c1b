"""Check whether an image is of the kind that the model was made for.

A network always gives an answer, also where it has never seen anything alike, and then
it invents. So a few traits of the measured planes are held against the range
that they had in what the model learned from, which its card keeps.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from napari_sparsessp.models.card import ModelCard, Range, is_foreign
from napari_sparsessp.prediction.modality import is_same_light, light_named
from napari_sparsessp.prediction.normalisation import padding_value, probes
from napari_sparsessp.prediction.plan import Plan, merge_notes
from napari_sparsessp.prediction.tiling import inside
from napari_sparsessp.resampling import resample_yx
from napari_sparsessp.volume import Volume, content_hash

MARGIN = 0.25
"""Share of a range's width by which a trait may lie outside of it, unremarked.

The ranges are the 1st to 99th percentile of some hundred patches; docs/domain-shift.md
has what this margin lets through and what it stops."""

LARGEST_READ = 2**24
"""Values that are read at once: 64 MiB."""

MOST_CLIPPED = 0.01
"""Share of pixels at the darkest or the brightest value; no light that was recorded
within the camera's range comes near it."""

STRONGEST_BLOCKS = 1.2
"""Steps at every eighth pixel over the others; 1 without compression."""

SIDE = 128
"""Pixels of a window on the model's grid; smaller fields are one window."""

WINDOWS = 2
"""Of them along y, and along x."""

PAIRS = 4
"""Pairs of neighbouring measured planes that are looked at."""

BANDS = {
    "coarse": (0.05, 0.15),
    "middle": (0.15, 0.5),
    "fine": (0.5, 1.0),
    "finest": (1.0, 1.4),
}
"""Cycles/µm."""

_BLOCK, _FEWEST_BLOCKS = 8, 3
"""Pixels of the blocks that JPEG cuts an image into, and how many there must be."""

_SURE = 3.5
"""Standard errors."""

_QUIET = 1e-12


_BLUR = (
    "smoothed, out of focus, or pixels larger than the voxel size says",
    "give the image as it was recorded, and check the voxel size",
)
_SIDES: dict[tuple[str, bool], tuple[str, str, str]] = {
    ("finest", True): (
        "your image is noisier than",
        "noise, or pixels smaller than the voxel size says",
        "record with more light or average, and check the voxel size",
    ),
    ("finest", False): ("your image is blurrier than", *_BLUR),
    ("fine", True): (
        "your image has more fine detail than",
        "noise, other cells, or pixels smaller than the voxel size says",
        "check channel and voxel size",
    ),
    ("fine", False): ("your image is blurrier than", *_BLUR),
    ("coarse", True): (
        "your image is more uneven than",
        "uneven light, objects out of focus, or pixels larger than the voxel size says",
        "correct the illumination, and check the voxel size",
    ),
    ("coarse", False): (
        "your image is more even than",
        "cells without surroundings, a filtered image, or another contrast",
        "check that it is the transmitted-light channel as it was recorded",
    ),
    ("skewness", True): (
        "your image has more bright spots on dark ground than",
        "fluorescence or another contrast",
        "check the channel",
    ),
    ("skewness", False): (
        "your image has more dark spots on bright ground than",
        "an inverted image or another contrast",
        "check the channel",
    ),
    ("peaks", True): (
        "your image has more of its contrast in a few spots than",
        "fluorescence, dirt, or another contrast",
        "check the channel",
    ),
    ("peaks", False): (
        "your image has less contrast above its background than",
        "a clipped image or a test pattern",
        "check the channel",
    ),
    ("alike", True): (
        "neighbouring planes are more alike than in",
        "planes closer in z than the voxel size says, copies, or no change with focus",
        "check the step in z",
    ),
    ("alike", False): (
        "neighbouring planes are less alike than in",
        "noise, movement, or planes farther apart in z than the voxel size says",
        "check the step in z",
    ),
}
"""A trait above or below its range in words: what, what it may mean, advice."""

_LOGARITHMS = ("coarse", "fine", "finest")

SEEN = "this stack was used to train the model; its scores say nothing about new cells"


def was_trained_on(card: ModelCard, volume: Volume) -> bool:
    """Whether a model learned from this very stack (one channel)."""
    return bool(card.training_images) and content_hash(volume) in card.training_images


def check(plan: Plan, *, padded: bool = False) -> tuple[str, ...]:
    """Describe in what an image is unlike the data that the model learned from.

    Sentences: what, how far, what it may mean and what to do. For a model whose card
    has no `familiarity` only that it learned from this very stack, or, where others
    made it, that the channel's name says another light. Only the first
    time point that shows anything is looked at, up to eight of its planes, in windows.
    InputError: the image is damaged.
    """
    cards = [part.card for part in plan.parts]  # of the members that run
    trained_on = any(was_trained_on(card, plan.volume) for card in cards)
    seen = (SEEN,) if trained_on else ()
    words = [
        (card, _channel_words(plan.volume, card))
        for card in cards
        if card.familiarity or is_foreign(card)
    ]
    named = merge_notes(words, plan.card)
    cards = [card for card in cards if card.familiarity]
    if not cards:
        return (*seen, *named)
    traits, distance = measure(plan, padded=padded)
    sentences = []
    for card in cards:
        unlike = _outside(traits, distance, card.familiarity)
        sentences.append((card, [_sentence(*trait, card) for trait in unlike]))
    return (
        *(*seen, *named),
        *(*_recording(traits), *merge_notes(sentences, plan.card)),
    )


def measure(plan: Plan, *, padded: bool = False) -> tuple[dict[str, float], float]:
    """Measure the traits of a plan's measured planes, as its model would see them.

    And the distance in µm of the measured planes that were compared; 0 of one plane.
    """
    view, pixel = plan.view, plan.input_pixel
    pairs = neighbours(len(view.planes)) or [(0, 0)]
    used = sorted({plane for pair in pairs for plane in pair})
    place = {plane: number for number, plane in enumerate(used)}
    flat: list[np.ndarray] = []
    for time in plan.times or (None,):
        volume = plan.volume if time is None else plan.volume.time(time)
        flat = []
        padding = None
        if padded:
            padding = padding_value(volume.planes(probes(view.planes)))
        for piece in _pieces(volume, [view.planes[k] for k in used], plan):
            finite = np.isfinite(piece)
            if padding is not None:
                finite &= piece != padding
            mean = piece[finite].mean() if finite.any() else 0
            flat.append(piece if finite.all() else np.where(finite, piece, mean))
        if any(np.ptp(piece) > 0 for piece in flat):  # the first that is not blank
            break
    seen = [resample_yx(piece, pixel, plan.model_pixel) for piece in flat]
    compared = [
        (place[lower], place[upper]) for lower, upper in pairs if lower != upper
    ]
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
    if (
        len(planes) * np.prod([side.stop - side.start for side in outer])
        <= LARGEST_READ
    ):
        whole = volume.region(planes, *outer)
    return [
        np.asarray(
            volume.region(planes, *place)
            if whole is None
            else whole[:, *inside(place, outer)],
            np.float32,
        )
        for place in product(*spans)
    ]


def _channel_words(volume: Volume, card: ModelCard) -> list[str]:
    """Compare the channel's name with the model's modality."""
    light = light_named(" ".join(volume.channel_names))
    if not light or is_same_light(light, card.modalities):
        return []
    if light == "bright-field" and card.modality == "quantitative phase":
        return [
            f"the channel is called {volume.channel_names[0]!r}, and the model learned "
            "from quantitative phase; make phase from bright-field first"
        ]
    return [
        f"the channel is called {volume.channel_names[0]!r}, and {card.id} "
        f"learned from {card.modality}: if it is {light}, what is predicted "
        "means nothing; choose the transmitted-light channel"
    ]


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
    """Return traits far outside of their range, farthest first."""
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
    return sorted(kinds.values(), key=lambda row: -row[1])


def _widths(value: float, low: float, high: float) -> float:
    """By how many widths of a range a value lies outside of it."""
    return max(value - high, low - value) / (high - low)


def fisher(correlation: float) -> float:
    """Return artanh r, whose chance error is the same for every r (Fisher 1921)."""
    return float(np.arctanh(np.clip(correlation, -0.9999, 0.9999)))


def range_at(ranges: tuple[Range, ...], distance: float) -> tuple[float, float] | None:
    """Return the range of a trait at a distance of planes in µm.

    `ranges` are one, where the distance does not matter, or one for each, ascending.
    None beyond the distances that are known.
    """
    if not ranges:
        return None
    if ranges[0].distance is None:
        return ranges[0].low, ranges[0].high
    places = [entry.distance or 0.0 for entry in ranges]
    if not places[0] * 0.8 <= distance <= places[-1] * 1.1:
        return None
    low = np.interp(distance, places, [entry.low for entry in ranges])
    high = np.interp(distance, places, [entry.high for entry in ranges])
    return float(low), float(high)


def _sentence(name: str, far: float, excess: float, card: ModelCard) -> str:
    what, meaning, advice = _SIDES[name.split("_")[0], excess > 0]
    measure = f"{far:.2g} times the usual range beyond it"
    if name in _LOGARITHMS:
        times = 10 ** abs(excess)
        factor = f"{times:.2g}" if times < 100 else "over 100"
        band = "slow changes" if name == "coarse" else f"{name} detail"
        measure = f"{band} {factor} times {'stronger' if excess > 0 else 'weaker'}"
    return (
        f"{what} the training images of {card.id} ({measure}): {meaning}; structures "
        f"may be invented: {advice}"
    )


def neighbours(count: int) -> list[tuple[int, int]]:
    """Choose pairs of neighbours among measured planes, spread over the stack."""
    if count < 2:
        return []
    lower = np.unique(np.linspace(0, count - 2, PAIRS).round().astype(int))
    return [(int(k), int(k) + 1) for k in lower]


def windows(size: int, side: int) -> list[slice]:
    """Spread up to `WINDOWS` windows over `size` pixels."""
    if size <= side:
        return [slice(0, size)]
    room = size - side
    count = min(WINDOWS, -(-size // side))
    # On multiples of a block, so that those of all windows are one grid.
    starts = np.linspace(0, room, 2 * count + 1)[1::2].astype(int) // _BLOCK * _BLOCK
    return [slice(int(start), int(start) + side) for start in starts]


def image_traits(
    pieces: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    pixel: float,
    nyquist: float = np.inf,
) -> dict[str, float]:
    """Measure what the network gets to see.

    ``coarse``, ``fine``, ``finest``: log10 of a band's power over that of the
    middle. ``skewness``, ``peaks``: of the coarse and middle bands together, the
    third moment, and log10 of the fourth. ``alike_middle``, ``alike_fine``:
    correlation of neighbouring planes within the band. What cannot be measured (too
    small a field, a single plane, beyond the camera's `nyquist` in cycles/µm) is left
    out. `pieces` are finite windows (n, h, w) of the same planes, `pairs` neighbours.
    """
    power = dict.fromkeys(BANDS, 0.0)
    cross = dict.fromkeys(BANDS, 0.0)
    own = dict.fromkeys(BANDS, 0.0)
    moments = np.zeros(4)
    for piece in pieces:
        spectrum, radius, weight = _spectrum(piece, pixel)
        for name, (low, high) in BANDS.items():
            inside = weight * ((radius >= low) & (radius < high))
            energy = ((np.abs(spectrum) ** 2) * inside).sum((1, 2))
            power[name] += float(energy.sum()) / len(piece)
            for lower, upper in pairs:
                both = spectrum[lower] * spectrum[upper].conj()
                cross[name] += float((both.real * inside).sum())
                own[name] += float(energy[lower] + energy[upper]) / 2
        moments += _moments(spectrum, radius, piece.shape)
    return _named(power, cross, own, moments, nyquist)


def recording_traits(pieces: Sequence[np.ndarray]) -> dict[str, float]:
    """Measure what the file says of the way the image was recorded."""
    values = np.concatenate([piece.reshape(-1) for piece in pieces])
    ends = [float((values == end).mean()) for end in (values.min(), values.max())]
    blocks = min(_block_steps(pieces, axis) for axis in (-1, -2))
    # A single darkest pixel is at an end of any image.
    return {"saturated": max(ends), "blocks": blocks}


def _block_steps(pieces: Sequence[np.ndarray], axis: int) -> float:
    """Return the steps at one place in eight over those beside them; 1 if by chance.

    In a small field some place is the highest by chance, and what is periodic is high
    at several places: JPEG's blocks are surely high, at one, and along both axes.
    """
    if min(piece.shape[axis] for piece in pieces) < _BLOCK:
        return 1.0
    rises, places = [], []
    for piece in pieces:
        steps = np.abs(np.diff(piece, axis=axis))
        along = steps.mean(tuple(k for k in range(3) if k != 3 + axis))
        beside = (along[:-2] + along[2:]) / 2
        rises.append((along[1:-1] - beside) / max(along.mean(), _QUIET))
        places.append(np.arange(1, len(along) - 1) % _BLOCK)
    rise, place = np.concatenate(rises), np.concatenate(places)
    count = np.bincount(place, minlength=_BLOCK)
    if count.min() < _FEWEST_BLOCKS:
        return 1.0
    second, first = np.argsort(np.bincount(place, rise, minlength=_BLOCK) / count)[-2:]
    own, next_, rest = rise[place == first], rise[place == second], rise[place != first]
    over = own.mean() - rest.mean()
    error = np.hypot(*(part.std(ddof=1) / len(part) ** 0.5 for part in (own, rest)))
    sure = over > _SURE * error and own.mean() - next_.mean() > over / 2
    return 1 + float(over) if sure else 1.0


def _spectrum(
    piece: np.ndarray, pixel: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectra of the planes under a Hann window, radius, and weight of each bin."""
    height, width = piece.shape[1:]
    taper = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    flat = piece - (piece * taper).sum((1, 2), keepdims=True) / taper.sum()
    spectrum = np.fft.rfft2(flat * taper)
    fy = np.fft.fftfreq(height, pixel)[:, None]
    fx = np.fft.rfftfreq(width, pixel)
    # Half of the plane stands for all of it; the ends of x stand for themselves.
    weight = np.full(len(fx), 2.0)
    weight[0] = 1.0
    if width % 2 == 0:
        weight[-1] = 1.0
    return spectrum, np.hypot(fy, fx), weight / piece[0].size


def _moments(
    spectrum: np.ndarray, radius: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Sums of powers 0, 2, 3 and 4 of what the lower two bands show."""
    low, high = BANDS["coarse"][0], BANDS["middle"][1]
    kept = spectrum * ((radius >= low) & (radius < high))
    values = np.fft.irfft2(kept, s=shape[1:])
    squares = values * values
    third, fourth = (squares * values).sum(), (squares * squares).sum()
    return np.array([values.size, squares.sum(), third, fourth])


def _named(
    power: dict[str, float],
    cross: dict[str, float],
    own: dict[str, float],
    moments: np.ndarray,
    nyquist: float,
) -> dict[str, float]:
    traits: dict[str, float] = {}
    middle = power["middle"]
    if middle <= _QUIET * sum(power.values()) or middle <= 0:
        return traits
    for name in ("coarse", "fine", "finest"):
        if power[name] > 0 and BANDS[name][1] <= nyquist:
            traits[name] = float(np.log10(power[name] / middle))
    count, *sums = moments
    second, third, fourth = (total / count for total in sums)
    traits["skewness"] = float(third / second**1.5)
    traits["peaks"] = float(np.log10(fourth / second**2))
    for name in ("middle", "fine"):
        if own[name] > 0 and BANDS[name][1] <= nyquist:
            traits[f"alike_{name}"] = cross[name] / own[name]
    return traits

"""A stack whose planes are phase, made from bright-field when they are read.

For all that follows it is a stack like any other. Values that are no image stay none:
NaN stays NaN, padding stays one value that nothing else has, and of planes that show
nothing (a closed shutter) nothing reaches their neighbours.
"""

import math
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.normalisation import (
    BlankImage,
    Survey,
    beyond,
    empty_planes,
    padding_value,
    probes,
)
from napari_sparsessp.prediction.phase import Heights, Optics, Reconstruction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.tasks import Progress, no_progress, part_of
from napari_sparsessp.volume import Volume, as_float32, even_step

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard

CHANNEL = "quantitative phase"
"""Name of the channel of phase."""

NO_IMAGE = -1000.0
"""Phase of pixels that are padding; no object has it."""

NEAR = 16
"""Planes on each side that a look at one plane takes into account."""

IN_MEMORY = 512 * 2**20
"""Bytes of phase that are held in memory; more goes to a temporary file."""

AT_ONCE = 64 * 2**20
"""Bytes that are read in one go while a stack is surveyed."""

TYPICAL = {
    "na": ("numerical aperture of the objective", "1.25 of a 100x, 0.75 of a 20x"),
    "na_condenser": ("numerical aperture of the condenser", "0.5, or 0.3 of a 20x"),
    "wavelength": ("wavelength of the light in µm", "0.55, or 0.6 of white light"),
    "index": ("refractive index of the immersion", "1 air, 1.33 water, 1.515 oil"),
}
"""Fields of a request that phase needs: their words, and values that are usual."""


def optics_of(request: PredictionRequest) -> Optics:
    """Return the optics that a request names; InputError says what is missing."""
    for name, (words, usual) in TYPICAL.items():
        if getattr(request, name) is None:
            raise InputError(
                f"phase needs the {words}, typically {usual}; give it "
                f"(--{name.replace('_', '-')})"
            )
    fields = (*TYPICAL, "planes_downwards", "regularisation")
    return Optics(**{name: getattr(request, name) for name in fields})


def check_unused(request: PredictionRequest) -> None:
    """Refuse optics without what needs them: they would change nothing."""
    given = [name for name in TYPICAL if getattr(request, name) is not None]
    if given and request.reconstruct is None:
        raise InputError(
            f"--{given[0].replace('_', '-')} is for phase only; add --reconstruct "
            "phase, or leave it out"
        )


def wants_phase(card: "ModelCard") -> bool:
    """Whether a model learned from quantitative phase, which is no phase contrast."""
    return is_phase(card.modality)


def is_phase(modality: str) -> bool:
    """Whether the words for a contrast mean quantitative phase."""
    words = modality.lower().replace("-", " ")
    return "phase" in words and "phase contrast" not in words


def phase_volume(
    volume: Volume, request: PredictionRequest, planes: Sequence[int]
) -> tuple[Volume, list[str]]:
    """Return a volume (ZYX or TZYX) as phase, and what there is to know about it.

    Nothing is read before its voxels are. Planes that are not measured are zeros.
    """
    optics, voxel = optics_of(request), request.voxel_size or volume.voxel_size
    if voxel is None:
        raise InputError(
            "phase needs the voxel size, which the image does not say; give it as "
            "Z,Y,X in µm (--voxel-size)"
        )
    uneven = volume.plane_z and even_step(volume.plane_z[0]) is None
    heights = [plane * voxel[0] for plane in planes]
    if uneven and not request.voxel_size:
        heights = [volume.plane_z[0][plane] for plane in planes]
    array = PhaseArray(
        volume, planes, heights, (voxel[1], voxel[2]), optics, request.device
    )
    notes, apart = [], float(np.diff(heights).max())
    if apart > optics.largest_step * (1 + 1e-6):
        notes.append(
            f"planes {apart:.3g} µm apart are too sparse for phase at this NA, "
            f"which needs {optics.largest_step:.2g} µm: it was made from interpolated "
            "planes, unlike any that networks have learned from; expect less"
        )
    return volume.with_(array=array, channel_names=(CHANNEL,)), notes


def phase_of_crop(
    volume: Volume,
    optics: Optics,
    voxel: tuple[float, float, float],
    plane: int,
    field: tuple[slice, slice],
    progress: Progress = no_progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a plane of a crop of a stack (ZYX), as it is and as phase: (h, w) each.

    Only a look: from some planes around it, and with the crop's edges joined.
    """
    first = max(0, plane - NEAR)
    planes = range(first, min(plane + NEAR + 1, volume.shape[0]))
    light = as_float32(volume.region(planes, *field))
    good = np.isfinite(light)
    mean = float(light[good].mean(dtype=np.float64)) if good.any() else 0.0
    light = np.where(good, light, np.float32(mean))
    heights = Heights.of([k * voxel[0] for k in planes], optics)
    width = volume.shape[2] * voxel[2]
    job = Reconstruction(light.shape, voxel[1:], heights, optics, width=width)
    phase = np.empty_like(light)
    job.run(lambda y, x: light[:, y, x], phase, mean, progress=progress)
    return light[plane - first], phase[plane - first]


class PhaseArray:
    """Array ((T,) Z, H, W) of phase; the last time point that was read is kept."""

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        light: Volume,
        planes: Sequence[int],
        heights: Sequence[float],
        pixel: tuple[float, float],
        optics: Optics,
        device: str = "auto",
    ) -> None:
        self._light, self._planes, self._heights = light, list(planes), heights
        self._pixel, self._optics, self._device = pixel, optics, device
        self._job(range(len(planes)))  # Whether it can be at all
        self._kept: tuple[int | None, np.ndarray] | None = None
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, ...]:
        """As that of the bright-field."""
        return self._light.shape

    @property
    def ndim(self) -> int:
        """Three or four."""
        return len(self.shape)

    @property
    def chunks(self) -> tuple[int, ...]:
        """A time point is made as a whole."""
        return (*(1,) * (self.ndim - 3), *self.shape[-3:])

    @property
    def bytes(self) -> int:
        """Memory of a time point, while it is made and then."""
        job, _ = self._job(range(len(self._planes)))
        size = 4 * len(self._planes) * math.prod(self.shape[-2:])
        return job.work_bytes + min(size, IN_MEMORY)

    def __getitem__(self, where: Any) -> np.ndarray:
        """Return a part; what is needed for it is made first."""
        where = where if isinstance(where, tuple) else (where,)
        if self.ndim == 3:
            return np.asarray(self.stack(None)[where])
        times = np.arange(self.shape[0])[where[0]]
        if times.ndim == 0:
            return np.asarray(self.stack(int(times))[where[1:]])
        return np.stack([self.stack(int(time))[where[1:]] for time in times])

    def stack(self, time: int | None, progress: Progress = no_progress) -> np.ndarray:
        """Return a time point (Z, H, W), made now unless it was the last one.

        InputError: it cannot be read, or shows too few planes.
        """
        with self._lock:
            if self._kept is None or self._kept[0] != time:
                self._kept = None  # Never two in memory
                self._kept = time, self._make(time, progress)
            return self._kept[1]

    def _job(self, shown: Sequence[int]) -> tuple[Reconstruction, Heights]:
        heights = Heights.of([self._heights[index] for index in shown], self._optics)
        shape = len(shown), *self.shape[-2:]
        return Reconstruction(shape, self._pixel, heights, self._optics), heights

    def _make(self, time: int | None, progress: Progress) -> np.ndarray:
        light = self._light if time is None else self._light.time(time)
        result = _zeros(self.shape[-3:])
        look = _Look(light, self._planes)
        try:
            look.survey(part_of(progress, 0.0, 0.15))
        except BlankImage:
            look.mark(result)
            return result
        shown = look.shown
        job, heights = self._job(shown)
        planes = [self._planes[index] for index in shown]
        mean = heights.mean_of(look.levels[shown], look.shares[shown])
        into = [result[plane] for plane in planes]
        for device in _devices(self._device):
            try:
                job.run(
                    lambda y, x: look.filled(shown, y, x, mean),
                    into,
                    mean,
                    device,
                    part_of(progress, 0.15, 1.0),
                )
                break
            except RuntimeError as error:  # Of a GPU that is full
                if device == "cpu" or "memory" not in str(error).lower():
                    raise
        look.mark(result)
        return result


class _Look:
    """Which pixels of some planes show anything, and how bright they are."""

    def __init__(self, light: Volume, planes: Sequence[int]) -> None:
        self._light, self._planes = light, list(planes)
        self._padding: float | None = None
        self._inside: np.ndarray | None = None
        self._invalid = np.zeros(len(planes), np.int64)
        self.levels, self.shares = np.zeros((2, len(planes)))
        self.shown: list[int] = []  # By their place among the planes

    def survey(self, progress: Progress) -> None:
        """Read all once; BlankImage where nothing is shown."""
        light, (height, width) = self._light, self._light.shape[-2:]
        ends = light.planes([self._planes[k] for k in probes(range(len(self._planes)))])
        self._padding = padding_value(ends)
        survey = Survey((len(self._planes), height, width), "robust", self._padding)
        sums, counts = np.zeros((2, len(self._planes)))
        for rows in self._bands():
            progress(rows.start, height, "reading")
            block = light.region(self._planes, rows, slice(None))
            for index, values in enumerate(block):
                bad = survey.add(index, rows.start, values)
                good = values if bad is None else values[~bad]
                sums[index] += good.sum(dtype=np.float64)
                counts[index] += good.size
        self._inside, self._invalid = survey.inside, survey.invalid
        self.levels = sums / np.maximum(counts, 1)
        self.shares = counts / (height * width)
        survey.result()
        dark = set(empty_planes(survey.sampled()))
        self.shown = [k for k in range(len(self._planes)) if k not in dark]

    def _bands(self) -> Iterator[slice]:
        """Whole rows of all planes, as many as are read at once."""
        height, width = self._light.shape[-2:]
        row = len(self._planes) * width * np.dtype(self._light.array.dtype).itemsize
        at_once = max(1, AT_ONCE // row)
        for start in range(0, height, at_once):
            yield slice(start, min(start + at_once, height))

    def filled(
        self, which: Sequence[int], rows: slice, columns: slice, mean: float
    ) -> np.ndarray:
        """Read a rectangle of some planes, with the mean where nothing is shown."""
        planes = [self._planes[index] for index in which]
        block = self._light.region(planes, rows, columns)
        if self._padding is None and not self._invalid.any():
            return block
        block = block.astype(np.float32)
        for index, values in zip(which, block, strict=True):
            values[self._bad(index, values, rows, columns)] = mean
        return block

    def _bad(
        self, index: int, values: np.ndarray, rows: slice, columns: slice
    ) -> np.ndarray:
        bad = ~np.isfinite(values)
        if self._padding is not None and self._inside is not None:
            bad |= beyond(self._inside[index, rows], columns)
        return bad

    def mark(self, result: np.ndarray) -> None:
        """Write into (Z, H, W) where the light was no number, or padding."""
        everywhere = slice(0, result.shape[1]), slice(0, result.shape[2])
        for index, plane in enumerate(self._planes):
            if self._padding is not None and self._inside is not None:
                outside = beyond(self._inside[index], everywhere[1])
                result[plane][outside] = NO_IMAGE
            if self._invalid[index]:
                values = self._light.region([plane], *everywhere)[0]
                result[plane][~np.isfinite(values)] = np.nan


def _devices(wanted: str) -> list[str]:
    """Return where to compute: on a CUDA device that was asked for, else on the CPU."""
    from napari_sparsessp.prediction.device import choose_device

    device = choose_device(wanted)
    # Apple's GPUs have no transforms of these sizes.
    return [str(device), "cpu"] if device.type == "cuda" else ["cpu"]


def _zeros(shape: Sequence[int]) -> np.ndarray:
    """Zeros in memory, or in a temporary file where that is too much."""
    size = 4 * math.prod(shape)
    if size <= IN_MEMORY:
        return np.zeros(shape, np.float32)
    try:
        with tempfile.TemporaryFile(prefix="sparsessp-phase-") as file:
            if hasattr(os, "posix_fallocate"):
                # A disk that fills up later would end the process.
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float32, "w+", shape=tuple(shape))
    except OSError as error:
        raise InputError(
            f"phase of this stack needs {size / 1e9:.1f} GB in {tempfile.gettempdir()} "
            f"({error.strerror}); free some space, or set TMPDIR to another folder"
        ) from error

"""Real pairs as training needs them: normalised, on the model's pixels, in a cache."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.io.manifest import Channel, Label, by_stack
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.metrics import zscore_truth
from napari_sparsessp.prediction.normalisation import normalise
from napari_sparsessp.resampling import resample_yx
from napari_sparsessp.volume import Volume

STEP_TOLERANCE = 0.1
"""Share by which a stack's step in z may differ from the grid's without a warning."""

_FORM = 1  # of the cache; another number, and all is read again


@dataclass(frozen=True, eq=False)
class CachedPair:
    """One stack with its labels, memory-mapped on the model's pixels.

    float16, but for what is not normalised.

    Attributes
    ----------
    name : str
    signal : ndarray
        (D, H, W) normalised.
    targets : dict of str to ndarray
        Structure to (D, H, W) or (1, H, W), z-scored.
    masks : dict of str to ndarray
        Of those structures that have one.
    split : str
        ``train``, ``validation`` or empty.
    """

    name: str
    signal: np.ndarray
    targets: Mapping[str, np.ndarray]
    masks: Mapping[str, np.ndarray]
    split: str


class PairReader:
    """Reads stacks into a cache, each once.

    Parameters
    ----------
    cache : Path
        Folder of ``.npy`` files; made if it is missing.
    voxel_size : tuple of float
        (z, y, x) in µm of the model's grid.
    scaling : {"robust", "zscore", "none"}
        Of the transmitted light; targets are always z-scored.
    tell : callable, optional
        Called with warnings.
    crop : mapping, optional
        Axis to first pixel and the one behind the last; the rest is not read.
    """

    def __init__(
        self,
        cache: Path,
        voxel_size: tuple[float, float, float],
        scaling: str,
        tell: Callable[[str], None] | None = None,
        crop: Mapping[Any, tuple[int, int]] | None = None,
    ) -> None:
        self.cache, self.voxel_size, self.scaling = cache, voxel_size, scaling
        self.crop: dict[str, tuple[int, int]] = dict(crop or {})
        self._tell = tell or (lambda text: None)
        self._told: set[str] = set()

    def read(
        self,
        labels: Sequence[Label],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[CachedPair]:
        """Read all labels but those of the test split.

        Parameters
        ----------
        labels : sequence of Label
            Several of one stack and channel become one pair.
        progress : callable, optional
            Called with how many stacks are there, of how many.

        Returns
        -------
        list of CachedPair

        Raises
        ------
        InputError
            An image cannot be read or is constant, or a target or mask does not fit
            its stack.
        OutputError
            The cache cannot be written.
        """
        stacks, pairs = by_stack(labels), []
        for group in stacks:
            pairs.append(self._pair(group))
            if progress is not None:
                progress(len(pairs), len(stacks))
        return pairs

    def _pair(self, labels: list[Label]) -> CachedPair:
        first = labels[0]
        splits = {label.split for label in labels}
        if len(splits) > 1:
            raise InputError(
                f"{first.path.name} is in several splits; give all its lines the same"
            )
        signal = self._array(first.path, first.signal, "signal", first.path)
        targets: dict[str, np.ndarray] = {}
        masks: dict[str, np.ndarray] = {}
        for label in labels:
            if label.structure in targets:
                raise InputError(
                    f"{first.path.name} has {label.structure} twice; remove one line"
                )
            target = self._array(label.path_target, label.target, "target", first.path)
            _check_shape(label.path_target, target, signal, first.path)
            targets[label.structure] = target
            if label.mask is not None:
                mask = self._array(label.mask, None, "mask", first.path)
                _check_shape(label.mask, mask, signal, first.path)
                masks[label.structure] = mask
        return CachedPair(first.path.name, signal, targets, masks, first.split)

    def _array(
        self, path: Path, channel: Channel | None, kind: str, stack: Path
    ) -> np.ndarray:
        """Open what the cache has, or read the image and put it there."""
        file = self.cache / f"{self._key(path, channel, kind, stack)}.npy"
        if not file.exists():
            volume = load_volume(path, channel=channel, need_channel=True)
            if "T" in volume.axes:
                raise InputError(
                    f"{path.name} has several time points; give one stack a file"
                )
            pixel = self._pixel(volume, kind, stack)
            volume = self._cropped(volume)
            try:
                array = self._prepared(volume, pixel, kind)
            except InputError as error:
                raise InputError(f"{path.name}, {kind}: {error}") from error
            _store(file, array)
        return np.load(file, mmap_mode="r")

    def _cropped(self, volume: Volume) -> Volume:
        for axis, (first, end) in self.crop.items():
            size = volume.sizes[axis.upper()]
            if size < end:
                raise InputError(
                    f"{Path(volume.source).name} has {size} pixels in {axis}; "
                    f"data.pairs.crop asks for {first} to {end}"
                )
        index = tuple(
            slice(*self.crop.get(axis.lower(), (None,))) for axis in volume.axes
        )
        return volume.with_(array=volume.array[index]) if self.crop else volume

    def _key(self, path: Path, channel: Channel | None, kind: str, stack: Path) -> str:
        """Name in the cache; another when the image or the wanted form changes."""
        status = path.stat()
        parts = (_FORM, path.absolute(), status.st_size, status.st_mtime_ns, channel,
                 kind, stack.absolute(), self.voxel_size,
                 self.scaling if kind == "signal" else "",
                 *sorted(self.crop.items()))  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]

    def _pixel(self, volume: Volume, kind: str, stack: Path) -> tuple[float, float]:
        """(y, x) in µm; targets and masks without any have that of their stack."""
        if volume.voxel_size is not None and kind == "signal":
            step = volume.voxel_size[0] / self.voxel_size[0]
            if abs(step - 1) > STEP_TOLERANCE:
                self._once(
                    f"{stack.name}: planes {volume.voxel_size[0]:g} µm apart are taken "
                    f"for planes of the model's grid, {self.voxel_size[0]:g} µm; set "
                    "model.voxel_size if they differ on purpose"
                )
        if volume.pixel_size is not None:
            return volume.pixel_size
        if kind != "signal":
            signal = load_volume(stack)
            if signal.pixel_size is not None:
                return signal.pixel_size
        self._once(
            f"{Path(volume.source).name}: the pixel size is unknown; the model's own "
            f"({self.voxel_size[2]:g} µm) was assumed"
        )
        return self.voxel_size[1:]

    def _prepared(
        self, volume: Volume, pixel: tuple[float, float], kind: str
    ) -> np.ndarray:
        planes = volume.planes(range(volume.sizes["Z"]))
        grid = self.voxel_size[1:]
        if kind == "mask":
            return (resample_yx(planes > 0, pixel, grid) >= 0.5).astype(np.uint8)
        if not np.isfinite(planes).all():
            raise InputError("it has NaN or infinite values; mend the file")
        if kind == "target":
            # Last of all: what a score is measured in.
            return zscore_truth(resample_yx(planes, pixel, grid)).astype(np.float16)
        scale = normalise(planes, self.scaling)
        if self.scaling == "none":
            # Camera counts do not fit into float16.
            return resample_yx(planes, pixel, grid)
        resampled = resample_yx(planes, pixel, grid)
        return ((resampled - scale.mean) / scale.std).astype(np.float16)

    def _once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._tell(text)


def _check_shape(
    path: Path, array: np.ndarray, signal: np.ndarray, stack: Path
) -> None:
    planes, *area = array.shape
    if tuple(area) != signal.shape[1:] or planes not in (1, len(signal)):
        raise InputError(
            f"{path.name} has shape {array.shape} on the model's grid and its stack "
            f"{stack.name} {signal.shape}; give the same field, with as many planes "
            "or one"
        )


def _store(file: Path, array: np.ndarray) -> None:
    part = file.with_name(f"{file.stem}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as handle:
            np.save(handle, array)
        part.replace(file)
    except OSError as error:
        raise OutputError(
            f"cannot write the cache {file.parent}: {error.strerror or error}; make "
            "room or choose another output folder"
        ) from error
    finally:
        part.unlink(missing_ok=True)

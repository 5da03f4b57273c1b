"""Real training pairs: lists of them, and their images in a cache.

A list is our CSV, the published RepMode CSV, or a folder of images. In the cache,
stacks are normalised and lie on the model's pixels.
"""

import codecs
import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import atomic_write, user_path
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.metrics import zscore_truth
from napari_sparsessp.prediction.ground_truth import survey_note, survey_truth
from napari_sparsessp.prediction.normalisation import normalise
from napari_sparsessp.resampling import resample_yx
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.training.resolve import make_folder, structure_id
from napari_sparsessp.volume import Volume, channel_key, content_hash

Channel = str | int

_COLUMNS = {
    "path_czi": "path",
    "channel_signal": "signal",
    "channel_target": "target",
    "signal_channel": "signal",
    "target_channel": "target",
    "target_path": "path_target",
}
"""Other names of our columns; the first three are RepMode's."""

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "": "",
}

_IMAGE_ENDINGS = (".tif", ".tiff", ".nd2", ".czi", ".lif", ".zarr", ".btf")

_LARGEST_LIST = 100_000_000  # bytes

STEP_TOLERANCE = 0.1
"""Share by which a stack's step in z may differ from the grid's without a warning."""

_FORM = 2  # of the cache; another number, and all is read again


@dataclass(frozen=True)
class Label:
    """One stack with one target."""

    path: Path  # image with the transmitted light
    signal: Channel | None  # its channel
    path_target: Path
    target: Channel | None
    structure: str
    mask: Path | None = None  # image that is above 0 where the target counts
    # ``train``, ``validation``, ``test``, or empty where it is left open.
    split: str = ""


def read_labels(
    path: Path,
    *,
    root: Path | None = None,
    structure: str | None = None,
    signal: Channel | None = None,
    target: Channel | None = None,
) -> list[Label]:
    """Read a list of pairs, or make one from a folder.

    Parameters
    ----------
    path
        A CSV with the columns path, signal and target (channel names or indices), and
        optionally structure, path_target, mask and split; or RepMode's, with path_czi,
        channel_signal and channel_target. Or a folder of images.
    root
        Where relative paths begin; the CSV's folder by default.
    structure
        What targets are where no column says it. Without both, a data set's name in
        an image's path counts (``…/lamin_b1/…``), or the CSV's own name.
    signal, target
        Channels where no column says them; needed for a folder.

    Raises
    ------
    InputError
        The list is missing, no such list, lacks a column or a value, or names images
        that are not there.
    """
    if path.is_dir():
        if structure is None or signal is None or target is None:
            raise InputError(
                f"{path} is a folder, so data.pairs needs structure, signal and "
                "target: what the target is, and the names or indices of both channels"
            )
        name, images = structure_id(structure), images_in(path)
        if not images:
            raise InputError(f"folder {path} holds no image; check data.pairs.path")
        return [Label(image, signal, image, target, name) for image in images]
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is a pipe or a device; check data.pairs.path")
    given = {"signal": signal, "target": target, "structure": structure}
    labels = _of_csv(path, root or path.parent, given)
    _check_files(labels, path)
    return labels


def by_stack(labels: Iterable[Label]) -> list[list[Label]]:
    """Group labels of the same image and channel; those for testing are left out."""
    stacks: dict[tuple[Path, Channel | None], list[Label]] = {}
    for label in labels:
        if label.split != "test":
            stacks.setdefault((label.path, label.signal), []).append(label)
    return list(stacks.values())


def images_in(folder: Path) -> list[Path]:
    """List the images of a folder, by name."""
    return [
        one for one in sorted(folder.iterdir())
        if one.suffix.lower() in _IMAGE_ENDINGS and not one.name.startswith(".")
    ]  # fmt: skip


def _of_csv(path: Path, root: Path, given: Mapping[str, Channel | None]) -> list[Label]:
    try:
        if path.stat().st_size > _LARGEST_LIST:
            raise InputError(f"{path} is too large for a list of pairs; check the path")
        content = path.read_bytes()
        # Spreadsheets write UTF-16 with tabs, or semicolons where commas are decimals.
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
        head = text.lstrip().partition("\n")[0]
        separator = max(",;\t", key=head.count)
        lines = io.StringIO(text, newline="")
        reader = csv.DictReader(lines, skipinitialspace=True, delimiter=separator)
        columns = [_column(name) for name in reader.fieldnames or ()]
        rows = [
            {_column(name): (value or "").strip() for name, value in row.items()
             if isinstance(name, str) and not isinstance(value, list)}
            for row in reader
        ]  # fmt: skip
    except OSError as error:
        raise InputError(
            f"cannot read the list of pairs {path}: {error.strerror}; check "
            "data.pairs.path"
        ) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no CSV in UTF-8; export it again") from error
    for name in ("path", "signal", "target"):
        if name not in columns and (name == "path" or given[name] is None):
            raise InputError(
                f"{path.name} has no column {name}; it needs path, signal and target "
                "(or RepMode's path_czi, channel_signal and channel_target), and may "
                "have structure, path_target, mask and split"
            )
    if not rows:
        raise InputError(f"{path.name} lists no pair; add a line for each")
    return [
        _label(row, f"{path.name}, line {number}", path, root, given)
        for number, row in enumerate(rows, 2)
    ]


def _column(name: str) -> str:
    name = name.strip().lower().replace(" ", "_")
    return _COLUMNS.get(name, name)


def _label(
    row: Mapping[str, str],
    where: str,
    path: Path,
    root: Path,
    given: Mapping[str, Channel | None],
) -> Label:
    def value(name: str) -> str:
        text = row.get(name, "")
        if not text and given[name] is None:
            raise InputError(f"{where}: {name} is empty; fill it in")
        return text or str(given[name])

    if not row.get("path"):
        raise InputError(f"{where}: path is empty; fill it in")
    split = row.get("split", "").lower()
    if split not in _SPLITS:
        raise InputError(
            f"{where}: split {row['split']!r} is none of train, validation and test; "
            "write one of them or leave it empty"
        )
    image = root / user_path(row["path"])
    other = row.get("path_target")
    mask = row.get("mask")
    return Label(
        image,
        channel_key(value("signal")),
        root / user_path(other) if other else image,
        channel_key(value("target")),
        _structure(row, where, path, given["structure"]),
        root / user_path(mask) if mask else None,
        _SPLITS[split],
    )


def _structure(
    row: Mapping[str, str], where: str, path: Path, given: Channel | None
) -> str:
    name = row.get("structure") or given
    if name:
        return structure_id(str(name))
    datasets = {one.dataset: one.id for one in CATALOGUE.values() if one.dataset}
    # RepMode's DNA list has the other sets' images, with another target channel: the
    # list's own name goes before the folders of its images.
    for part in (path.stem, *reversed(Path(row["path"]).parent.parts)):
        for dataset, known in datasets.items():
            if part.lower() == dataset or part.lower().endswith(f"_{dataset}"):
                return known
    raise InputError(
        f"{where}: nothing says which structure this is; add a column structure, or "
        "data.pairs.structure to the config"
    )


def _check_files(labels: list[Label], path: Path) -> None:
    wanted = dict.fromkeys(
        file
        for label in labels
        for file in (label.path, label.path_target, label.mask)
        if file is not None
    )

    def exists(file: Path) -> bool:
        try:
            return file.exists()
        except (OSError, ValueError):  # no name that a file could have
            return False

    missing = [file for file in wanted if not exists(file)]
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(wanted)} images that {path.name} lists are "
            f"not there, the first is {missing[0]}; check the paths, or say with "
            "data.pairs.root where they begin"
        )


def write_list(labels: Sequence[Label], path: Path) -> Path:
    """Write a CSV that `read_labels` reads; paths below it are relative to it."""
    here = path.absolute().parent
    make_folder(here)

    def short(file: Path | None) -> str:
        if file is None:
            return ""
        whole = file.absolute()
        inside = whole.is_relative_to(here)
        return (whole.relative_to(here) if inside else whole).as_posix()

    with (
        atomic_write(path, "list") as part,
        part.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(
            ["path", "signal", "target", "structure", "path_target", "mask", "split"]
        )
        for label in labels:
            elsewhere = label.path_target if label.path_target != label.path else None
            writer.writerow([
                short(label.path), label.signal, label.target, label.structure,
                short(elsewhere), short(label.mask), label.split,
            ])  # fmt: skip
    return path


@dataclass(frozen=True, eq=False)
class Pair:
    """One specimen to learn from, arrays possibly memory-mapped."""

    looks: np.ndarray  # (V, D, H, W) transmitted-light stacks of it, each z-scored
    # (D, H, W), or (1, H, W) for a projection; each z-scored. NaN does not count.
    targets: Sequence[np.ndarray]
    # Which of the network's outputs each target is; all in order where left out.
    outputs: tuple[int, ...] | None = None
    # (D, H, W) or (1, H, W) for each target, true where it counts; empty where all of
    # them count everywhere.
    masks: Sequence[np.ndarray | None] = ()
    name: str = ""  # what a person calls it
    digest: str = ""  # of a real stack's light: `napari_sparsessp.volume.content_hash`
    split: str = ""  # ``train``, ``validation`` or empty

    @property
    def labels(self) -> tuple[int, ...]:
        """Output of the network for each target."""
        return tuple(range(len(self.targets))) if self.outputs is None else self.outputs


class PairReader:
    """Reads stacks into a cache, each once.

    `scaling` is that of the transmitted light (targets are always z-scored); `warn` is
    called once with each thing that was assumed.
    """

    def __init__(
        self,
        cache: Path,
        voxel_size: tuple[float, float, float],
        scaling: str,
        warn: Callable[[str], None] = lambda text: None,
        crop: Mapping[Literal["y", "x"], tuple[int, int]] | None = None,
    ) -> None:
        self.cache, self.voxel_size, self.scaling = cache, voxel_size, scaling
        self.crop: dict[str, tuple[int, int]] = dict((crop or {}).items())
        self._warn = warn
        self._warned: set[str] = set()

    def read(
        self,
        labels: Sequence[Label],
        structures: Sequence[str],
        progress: Progress = no_progress,
    ) -> list[Pair]:
        """Read all labels but those of the test split; `structures` are the outputs."""
        stacks, pairs = by_stack(labels), []
        for group in stacks:
            pairs.append(self._pair(group, structures))
            progress(len(pairs), len(stacks), "reading stack")
        return pairs

    def _pair(self, labels: list[Label], structures: Sequence[str]) -> Pair:
        first, name = labels[0], labels[0].path.name
        if len({label.split for label in labels}) > 1:
            raise InputError(
                f"{name} is in several splits; give all its lines the same"
            )
        labels = sorted(labels, key=lambda label: structures.index(label.structure))
        for one, other in pairwise(labels):
            if one.structure == other.structure:
                raise InputError(f"{name} has {one.structure} twice; remove one line")
        signal = self._array(first.path, first.signal, "signal", first.path)
        targets: list[np.ndarray] = []
        masks: list[np.ndarray | None] = []
        for label in labels:
            target = self._array(label.path_target, label.target, "target", first.path)
            _check_shape(label.path_target, target, signal, first.path)
            targets.append(target)
            masks.append(None)
            if label.mask is not None:
                masks[-1] = mask = self._array(label.mask, None, "mask", first.path)
                _check_shape(label.mask, mask, signal, first.path)
        outputs = tuple(structures.index(label.structure) for label in labels)
        digest = self._digest(first)
        light = signal[None]
        return Pair(light, targets, outputs, masks, name, digest, first.split)

    def _digest(self, label: Label) -> str:
        """Return the hash of the light, before any crop; kept beside the cache."""
        key = self._key(label.path, label.signal, "digest", label.path)
        file = self.cache / f"{key}.txt"
        if not file.exists():
            light = load_volume(label.path, channel=label.signal, need_channel=True)
            with atomic_write(file, "cache") as part:
                part.write_text(content_hash(light), encoding="ascii")
        return file.read_text(encoding="ascii")

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
            make_folder(self.cache)
            with atomic_write(file, "cache") as part, part.open("wb") as handle:
                np.save(handle, array)
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
                self._warn_once(
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
        self._warn_once(
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
            raise InputError("it has NaN or infinite values; repair the file")
        if kind == "target":
            survey = survey_truth(volume)
            planes = survey.truth.planes(range(len(planes)))
            # Last of all: what a score is measured in. Empty planes are NaN.
            scored = zscore_truth(resample_yx(planes, pixel, grid))
            if note := survey_note(Path(volume.source).name, {None: survey}):
                self._warn_once(note)
            return scored.astype(np.float16)
        scale = normalise(planes, self.scaling)
        resampled = resample_yx(planes, pixel, grid)
        if self.scaling == "none":
            return resampled  # camera counts do not fit into float16
        return ((resampled - scale.mean) / scale.std).astype(np.float16)

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)


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

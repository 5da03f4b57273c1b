"""Lists of training pairs: our CSV, the published RepMode CSV, a folder of images."""

import csv
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import atomic_write, user_path
from napari_sparsessp.io.caption import Caption
from napari_sparsessp.io.ome_tiff import write_ome_tiff
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.metrics import zscore_truth
from napari_sparsessp.prediction.normalisation import normalise
from napari_sparsessp.resampling import resample_yx
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.training.resolve import structure_id
from napari_sparsessp.volume import Volume

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


@dataclass(frozen=True)
class Label:
    """One stack with one target.

    Attributes
    ----------
    path
        Image with the transmitted light.
    signal
        Its channel.
    path_target
        Image with the target; mostly the same one.
    target
        Channel of the target.
    structure
        What the target shows.
    mask
        Image that is above 0 where the target counts.
    split
        ``train``, ``validation``, ``test``, or empty where it is left open.
    """

    path: Path
    signal: Channel | None
    path_target: Path
    target: Channel | None
    structure: str
    mask: Path | None = None
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
        an image's path tells it (``…/lamin_b1/…``), or the CSV's own name.
    signal, target
        Channels where no column says them; needed for a folder.

    Raises
    ------
    InputError
        The list is missing, no such list, lacks a column or a value, or names images
        that are not there.
    """
    if path.is_dir():
        labels = _of_folder(path, structure, signal, target)
    else:
        given = {"signal": signal, "target": target, "structure": structure}
        labels = _of_csv(path, root or path.parent, given)
    _check_files(labels, path)
    return labels


def _of_folder(
    folder: Path,
    structure: str | None,
    signal: Channel | None,
    target: Channel | None,
) -> list[Label]:
    if structure is None or signal is None or target is None:
        raise InputError(
            f"{folder} is a folder, so data.pairs needs structure, signal and target: "
            "what the target is, and the names or indices of both channels"
        )
    images = images_in(folder)
    if not images:
        raise InputError(f"folder {folder} holds no image; check data.pairs.path")
    known = structure_id(structure)
    return [Label(one, signal, one, target, known) for one in images]


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
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
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
        _channel(value("signal")),
        root / user_path(other) if other else image,
        _channel(value("target")),
        _structure(row, where, path, given["structure"]),
        root / user_path(mask) if mask else None,
        _SPLITS[split],
    )


def _channel(text: str) -> Channel:
    return int(text) if text.isdecimal() else text


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
        one for label in labels for one in (label.path, label.path_target, label.mask)
        if one is not None
    )  # fmt: skip
    missing = [one for one in wanted if not _is_there(one)]
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(wanted)} images that {path.name} lists are "
            f"not there, the first is {missing[0]}; check the paths, or say with "
            "data.pairs.root where they begin"
        )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no name that a file could have
        return False


LIGHT = "transmitted light"
"""Name of its channel in the files that are written."""

_WRITTEN_COLUMNS = (
    "path",
    "signal",
    "target",
    "structure",
    "path_target",
    "mask",
    "split",
)


@dataclass(frozen=True, eq=False)
class StackToLearn:
    """One specimen in memory, or lazily so.

    Attributes
    ----------
    light
        ZYX.
    truths
        Structure id to its fluorescence: ZYX, as many planes as the light, or one.
    mask
        Above 0 where the truths count.
    split
        ``train`` or ``validation`` where somebody said so, else empty.
    """

    name: str
    light: Volume
    truths: Mapping[str, Volume]
    mask: Volume | None = None
    split: str = ""


def check_stack(stack: StackToLearn) -> None:
    """See that all images of a stack show the same field, before anything is written.

    Raises
    ------
    InputError
        One has another size or pixel; says which.
    """
    if not stack.truths:
        raise InputError(
            f"{stack.name} has no fluorescence to learn from; tick a layer that shows "
            "what shall be predicted"
        )
    depth, *area = stack.light.shape
    others = {f"the truth of {name}": one for name, one in stack.truths.items()}
    if stack.mask is not None:
        others["the mask"] = stack.mask
    for what, one in others.items():
        _check_place(stack, what, one)
        planes, *field = one.shape
        if field == area and 1 < depth < planes:
            raise InputError(
                f"the transmitted light of {stack.name} has {depth} planes and {what} "
                f"{planes}: teaching needs light at every plane that has a truth; use "
                "the dense stack, sparse ones are made from it while it learns"
            )
        if field != area or planes not in (1, depth):
            raise InputError(
                f"{what} has {_extent(one)} voxels and the transmitted light of "
                f"{stack.name} {_extent(stack.light)}; both must show the same field, "
                "with as many planes or one: crop or resample one of them"
            )
        mine, its = stack.light.pixel_size, one.pixel_size
        if mine and its and not np.allclose(mine, its, rtol=0.02):
            raise InputError(
                f"{what} has pixels of {its[1]:g} µm and the transmitted light of "
                f"{stack.name} {mine[1]:g} µm; correct the scale of one of the layers"
            )


def _check_place(stack: StackToLearn, what: str, one: Volume) -> None:
    """See that two layers lie on each other: pixels are compared by their number."""
    light = stack.light
    pixel = light.pixel_size or (1.0, 1.0)
    shift = np.subtract(one.origin, light.origin)[1:]
    if (np.abs(shift) > np.asarray(pixel)).any():
        y, x = shift
        raise InputError(
            f"{what} is shifted by {y:.2g} (y) and {x:.2g} (x) against the transmitted "
            f"light of {stack.name}; crop or register them to the same field"
        )


def write_stacks(
    stacks: Sequence[StackToLearn],
    folder: Path,
    list_path: Path,
    step: float,
    tell: Callable[[str, float], None] | None = None,
) -> Path:
    """Write stacks as OME-TIFF, and a CSV that lists them for a training.

    Parameters
    ----------
    folder
        Gets an image for each stack and each mask.
    list_path
        The CSV; paths in it are relative to it.
    step
        µm between planes, where only the pixel size of a stack is known.
    tell
        Called with what is written and the share that is done; what it raises ends it.

    Returns
    -------
    The CSV.

    Raises
    ------
    InputError
        An image cannot be read, or does not fit its stack.
    OutputError
        The folder cannot be written.
    """
    labels: list[Label] = []
    for number, stack in enumerate(stacks):
        check_stack(stack)
        if tell is not None:
            tell(f"copying {stack.name}", number / len(stacks))
        name = f"{number + 1:02}_{_slug(stack.name)}.ome.tif"
        labels += _written(stack, folder / name, step)
    return write_list(labels, list_path)


def write_list(labels: Sequence[Label], path: Path) -> Path:
    """Write a CSV that `napari_sparsessp.training.pairs.read_labels` reads.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    here = path.absolute().parent
    make_folder(here)
    with (
        atomic_write(path, "list") as part,
        part.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_WRITTEN_COLUMNS)
        for one in labels:
            writer.writerow(_row(one, here))
    return path


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write into {folder}: {error.strerror or error}; make room or "
            "choose another folder"
        ) from error


def _row(label: Label, folder: Path) -> tuple[object, ...]:
    def short(path: Path | None) -> str:
        if path is None:
            return ""
        whole = path.absolute()
        inside = whole.is_relative_to(folder)
        return (whole.relative_to(folder) if inside else whole).as_posix()

    elsewhere = label.path_target != label.path
    return (
        short(label.path),
        "" if label.signal is None else label.signal,
        "" if label.target is None else label.target,
        label.structure,
        short(label.path_target) if elsewhere else "",
        short(label.mask),
        label.split,
    )


def _written(stack: StackToLearn, path: Path, step: float) -> list[Label]:
    """Write the light and all truths as deep as it into one file, others beside it."""
    voxel = stack.light.voxel_size
    if voxel is None and stack.light.pixel_size is not None:
        voxel = (step, *stack.light.pixel_size)
    deep = {k: v for k, v in stack.truths.items() if v.shape == stack.light.shape}
    _write(path, [stack.light, *deep.values()], [LIGHT, *deep], voxel)
    stem = path.name.removesuffix(".ome.tif")
    mask = None
    if stack.mask is not None:
        mask = path.with_name(f"{stem}_mask.ome.tif")
        _write(mask, [stack.mask], ["mask"], voxel)
    labels = [Label(path, 0, path, 1 + k, id_, mask) for k, id_ in enumerate(deep)]
    for id_, one in stack.truths.items():
        if id_ not in deep:
            flat = path.with_name(f"{stem}_{id_}.ome.tif")
            _write(flat, [one], [id_], voxel)
            labels.append(Label(path, 0, flat, 0, id_, mask))
    return [replace(one, split=stack.split) for one in labels]


def _write(
    path: Path,
    volumes: Sequence[Volume],
    names: Sequence[str],
    voxel: tuple[float, float, float] | None,
) -> None:
    planes = range(volumes[0].shape[0])
    array = np.stack([one.planes(planes) for one in volumes])
    make_folder(path.parent)
    with atomic_write(path, "stack") as part:
        write_ome_tiff(part, array, Caption("CZYX", names, voxel, name=path.name))


def _slug(name: str) -> str:
    """A part of a file's name by which a person knows the stack again."""
    return "-".join(re.findall(r"\w+", name))[:40] or "stack"


def _extent(volume: Volume) -> str:
    return "×".join(map(str, volume.shape))


STEP_TOLERANCE = 0.1
"""Share by which a stack's step in z may differ from the grid's without a warning."""

_FORM = 1  # of the cache; another number, and all is read again


@dataclass(frozen=True, eq=False)
class CachedPair:
    """One stack with its labels, memory-mapped on the model's pixels.

    float16, but for what is not normalised.

    Attributes
    ----------
    signal
        (D, H, W) normalised.
    targets
        Structure to (D, H, W) or (1, H, W), z-scored.
    masks
        Of those structures that have one.
    split
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
    cache
        Folder of ``.npy`` files; made if it is missing.
    voxel_size
        (z, y, x) in µm of the model's grid.
    scaling
        ``robust``, ``zscore``, ``none``.
        Of the transmitted light; targets are always z-scored.
    tell
        Called with warnings.
    """

    def __init__(
        self,
        cache: Path,
        voxel_size: tuple[float, float, float],
        scaling: str,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.cache, self.voxel_size, self.scaling = cache, voxel_size, scaling
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
        labels
            Several of one stack and channel become one pair.
        progress
            Called with how many stacks are there, of how many.

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
            try:
                array = self._prepared(volume, pixel, kind)
            except InputError as error:
                raise InputError(f"{path.name}, {kind}: {error}") from error
            _store(file, array)
        return np.load(file, mmap_mode="r")

    def _key(self, path: Path, channel: Channel | None, kind: str, stack: Path) -> str:
        """Name in the cache; another when the image or the wanted form changes."""
        status = path.stat()
        parts = (_FORM, path.absolute(), status.st_size, status.st_mtime_ns, channel,
                 kind, stack.absolute(), self.voxel_size,
                 self.scaling if kind == "signal" else "")  # fmt: skip
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

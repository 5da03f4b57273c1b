"""Lists of training pairs: our CSV, the published RepMode CSV, a folder of images."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_sparsessp.errors import InputError
from napari_sparsessp.files import user_path
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.training.setup import structure_id

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
    path : Path
        Image with the transmitted light.
    signal : str or int or None
        Its channel.
    path_target : Path
        Image with the target; mostly the same one.
    target : str or int or None
        Channel of the target.
    structure : str
        What the target shows.
    mask : Path or None
        Image that is above 0 where the target counts.
    split : str
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
    path : Path
        A CSV with the columns path, signal and target (channel names or indices), and
        optionally structure, path_target, mask and split; or RepMode's, with path_czi,
        channel_signal and channel_target. Or a folder of images.
    root : Path, optional
        Where relative paths begin; the CSV's folder by default.
    structure : str, optional
        What targets are where no column says it. Without both, a data set's name in
        an image's path tells it (``…/lamin_b1/…``), or the CSV's own name.
    signal, target : str or int, optional
        Channels where no column says them; needed for a folder.

    Returns
    -------
    list of Label

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

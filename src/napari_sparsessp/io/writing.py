"""Write predictions to disk: checked before the work, complete or not there at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import beside, commit, place_of, remove, user_path
from napari_sparsessp.io.ome import (
    OmeMetadata,
    read_ome_tiff_provenance,
    read_ome_zarr_provenance,
    write_ome_tiff,
    write_ome_zarr,
)
from napari_sparsessp.structures import Structure, structure_or_custom
from napari_sparsessp.volume import Volume

_ENDINGS = {".tif": "tiff", ".tiff": "tiff", ".zarr": "zarr"}


def check_output(path: str | Path, overwrite: bool = False) -> Path:
    """Return the path of a result, checked before anything is computed.

    It is a file (``.ome.tif``) or folder (``.ome.zarr``); of a link, what it leads to
    is written, and the link stays. OutputError: another ending, an existing output,
    something else of this name, or a folder that is missing or cannot be written to.
    """
    path = user_path(path)
    kind = kind_of(path)
    try:
        is_there = path.is_symlink() or path.exists()
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{str(path)[:80]!r} cannot be the name of a file; choose another"
        ) from error
    if is_there:
        if not overwrite:
            raise OutputError(
                f"{path} exists already; give another name or allow overwriting"
            )
        is_image = path.is_dir() and any(
            (path / name).exists() for name in ("zarr.json", ".zgroup")
        )
        if (kind == "zarr") != is_image or (kind == "tiff" and not path.is_file()):
            raise OutputError(
                f"{path} exists and is not a result of this kind; give another name"
            )
    folder = (place_of(path) if path.is_symlink() else path.absolute()).parent
    if not folder.is_dir():
        raise OutputError(f"the folder {folder} does not exist; create it first")
    try:
        # Permissions do not say it all: file systems may be mounted read-only.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise disk_error(folder, error) from error
    return path


def write_prediction(
    path: str | Path,
    result_volume: Volume,
    structures: Sequence[str | Structure],
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write all structures of a prediction into one image, and return its path.

    It is written under a temporary name in the same folder and renamed at the end:
    nothing incomplete ever bears the final name, and nothing is left of a failure.

    OutputError: as `check_output`, and when the disk is full or fails.

    Parameters
    ----------
    result_volume
        Axes (T)CZYX, one channel for each structure; written as float32.
    structures
        They give the channels' names (ids) and colours.
    provenance
        Kept in the file as JSON; see `read_provenance`.
    """
    path = check_output(path, overwrite)
    known = [
        structure_or_custom(entry) if isinstance(entry, str) else entry
        for entry in structures
    ]
    if result_volume.axes not in ("CZYX", "TCZYX") or result_volume.sizes["C"] != len(
        known
    ):
        raise OutputError(
            f"a prediction of {result_volume.axes} {result_volume.shape} cannot be "
            f"written as {len(known)} structures; give one channel for each"
        )
    # The ending comes last, so that a left-over of a killed process is seen for what
    # it is, and is no image to any program.
    place = place_of(path)
    partial = beside(place, f"{os.getpid()}.partial")
    try:
        metadata = OmeMetadata(
            result_volume.axes,
            [structure.id for structure in known],
            result_volume.voxel_size,
            result_volume.origin,
            [structure.colour for structure in known],
            provenance,
            path.name.split(".")[0],
        )
        write = write_ome_zarr if kind_of(path) == "zarr" else write_ome_tiff
        write(partial, result_volume.array, metadata)
        commit(partial, place)
    except OSError as error:
        raise disk_error(place, error) from error
    finally:
        remove(partial)
    return path


def read_provenance(path: str | Path) -> dict[str, Any] | None:
    """Return the provenance in a prediction's file; None where it holds none.

    InputError: the file is missing, or no image that could hold any.
    """
    path = user_path(path)
    if not path.exists():
        raise InputError(f"there is no file {path}; check the path")
    try:
        if path.is_dir():
            return read_ome_zarr_provenance(path)
        return read_ome_tiff_provenance(path)
    except Exception as error:
        raise InputError(
            f"{path.name} cannot be read ({error}); give an OME-TIFF or OME-Zarr"
        ) from error


def kind_of(path: Path) -> str:
    """Return the kind of output by the name's ending: "tiff" or "zarr"."""
    stem, dot, ending = path.name.lower().rpartition(".")
    kind = _ENDINGS.get(dot + ending)
    if kind is not None and stem not in ("", ".ome"):
        return kind
    raise OutputError(
        f"{path.name} has an unknown ending; end the name in .ome.tif or .ome.zarr"
    )


def disk_error(path: Path, error: OSError, *, kept: bool = False) -> OutputError:
    """Return why an output could not be written, and what to do, in one line.

    `kept`: a later run can go on with what is done.
    """
    # numpy says only how much of an array went out when the disk took no more.
    short = error.errno is None and "written" in str(error)
    if short or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = (
            "free some space and go on with --resume"
            if kept
            else "free some space or choose another folder"
        )
        return OutputError(
            f"the disk is full, or its quota is used up, at {path.parent}; {advice}"
        )
    reason = error.strerror or error
    advice = "mend that and go on with --resume" if kept else "choose another folder"
    return OutputError(f"cannot write to {path}: {reason}; {advice}")

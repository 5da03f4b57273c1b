"""A copy of an installed model in the native format, card included."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from napari_sparsessp.errors import OutputError
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.header import CARD_KEY, read_header
from napari_sparsessp.models.registry import (
    CARD_NAME,
    WEIGHTS_NAME,
    card_of,
    find_model,
    weights_file,
)
from napari_sparsessp.models.serialisation import (
    Progress,
    header_bytes,
    write_parts,
)
from napari_sparsessp.models.store import write_text

_CHUNK = 16 * 2**20


def export_model(
    id_or_path: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Copy a model, bit by bit, to a file or folder of its own.

    Parameters
    ----------
    id_or_path : str or Path
        An id, a model file or a model's folder.
    out : str or Path
        A ``.safetensors`` file, or a folder that gets ``model.safetensors`` and
        ``card.json``.
    overwrite : bool
        Replace what is there.
    progress : callable, optional
        Called with what is being done and its share; what it raises stops the copying,
        and nothing is left then.

    Returns
    -------
    Path
        The weights file. Its tensors are those of the original, byte by byte, and it
        carries its card even if the original had it in a file beside.

    Raises
    ------
    ModelError
        There is no such model, or it is damaged.
    OutputError
        The file is there already, or cannot be written.
    """
    path = find_model(id_or_path)
    card = card_of(path)
    original = weights_file(path)
    has_card = CARD_KEY in read_header(original).metadata
    out = Path(out).expanduser()
    single = out.suffix == ".safetensors"
    target = out if single else out / WEIGHTS_NAME
    beside = [] if single else [out / CARD_NAME]
    _check_free(target, beside, original, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_weights(original, target, None if has_card else card, progress)
        for one in beside:
            write_text(one, card.to_json())
    except OSError as error:
        raise OutputError(
            f"cannot write model {out}: {error.strerror or error}; choose another place"
        ) from error
    return target


def copy_weights(
    original: Path,
    target: Path,
    card: ModelCard | None = None,
    progress: Progress | None = None,
) -> None:
    """Copy a weights file, bit by bit or with another card.

    Parameters
    ----------
    original, target : Path
        Safetensors files; they may be the same.
    card : ModelCard, optional
        What the copy shall carry instead of its own.
    progress : callable, optional

    Raises
    ------
    OSError
        It cannot be read or written; the target is as it was then.
    """
    with original.open("rb") as file:
        start = b""
        if card is not None:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
            metadata = header.pop("__metadata__", {})
            metadata[CARD_KEY] = card.to_json(indent=None)
            start = header_bytes({"__metadata__": metadata, **header})
        size = original.stat().st_size
        write_parts(target, start, _chunks(file), size, progress)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _check_free(
    target: Path, beside: list[Path], original: Path, *, overwrite: bool
) -> None:
    for path in (target, *beside):
        if path.exists() and (path.is_dir() or not overwrite):
            raise OutputError(
                f"{path} exists already; give another name or --overwrite"
            )
    if target.exists() and target.samefile(original):
        raise OutputError(f"{target} is the model itself; choose another place")
    if target.parent.exists() and not target.parent.is_dir():
        raise OutputError(f"{target.parent} is not a folder; choose another place")

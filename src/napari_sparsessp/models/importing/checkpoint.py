"""Open a published checkpoint without running anything that its author put in.

A ``.p`` or ``.pth`` file is a pickle, and a pickle is a program. torch's restricted
reader knows tensors, numbers, texts and containers and nothing else; the only other
class that is allowed is `argparse.Namespace`, in which RepMode keeps its options.
There is no second attempt: a file that this reader refuses stays shut.
"""

from __future__ import annotations

import argparse
import io
import pickletools
import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import ModelError
from napari_sparsessp.files import user_path
from napari_sparsessp.models.weights import CARD_KEY, read_header

if TYPE_CHECKING:
    import torch


SAFE_SINCE = (2, 6)
"""First torch whose ``weights_only=True`` holds (CVE-2025-32434 is in 2.5.1)."""

LARGEST_FILE = 16 * 2**30
"""Bytes. The largest published checkpoint, SparseSSP with its optimiser, has 2.4 GB."""

LARGEST_PICKLE = 8 * 2**20
"""Bytes of the part without tensors; RepMode's, the longest, has 0.1 MB. A byte can
become an object of 56 bytes, so that this limits memory as well."""

LEGACY_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
"""The number with which torch files began before they were zip files."""

LEGACY_PICKLES = 5
"""Before the tensors: magic number, protocol, machine, contents, names of tensors."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Contents of a checkpoint file."""

    path: Path
    # Tensors, numbers, texts and containers of them, not validated
    content: dict[Any, Any]


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint; tensors of a zip file stay on disk until they are used."""
    path = user_path(path)
    zipped = _check_file(path)
    (_check_archive if zipped else _check_pickles)(path)
    content = _load(path, zipped)
    if type(content).__name__ not in ("dict", "OrderedDict"):
        raise _unknown(path, f"it holds a {type(content).__name__}")
    return Checkpoint(path, content)


def _check_file(path: Path) -> bool:
    """Refuse files that cannot be checkpoints; return whether it is a zip file."""
    try:
        if path.is_dir():
            raise ModelError(
                f"{path} is a folder, not a checkpoint; name the file inside it"
            )
        if path.exists() and not path.is_file():
            raise _unknown(path, "it is a pipe or a device, not a file")
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise ModelError(
            f"cannot read checkpoint {path}: {error.strerror or error}; check the path"
        ) from error
    if size > LARGEST_FILE:
        raise ModelError(
            f"{path} has {size / 2**30:.0f} GiB, more than any network that can be "
            "imported; check the file"
        )
    if start.startswith(b"PK\x03\x04"):
        return True
    # A safetensors header may have a length that begins like a pickle.
    if re.match(rb"\x80[\x02-\x05]", start) and start[8:9] != b"{":
        return False
    if path.suffix == ".safetensors":
        raise _native(path)
    raise _unknown(path, _kind(start))


def _native(path: Path) -> ModelError:
    if CARD_KEY in read_header(path).metadata:
        return ModelError(
            f"{path} is a model of this plugin already; use it by its path, or add it: "
            f"sparsessp models import {path}"
        )
    return ModelError(
        f"{path} has weights but no card; save it with napari_sparsessp.save_model"
    )


def _kind(start: bytes) -> str:
    """Describe a file that is no checkpoint."""
    images = {
        b"\x89PNG": "an image (PNG)",
        b"\xff\xd8\xff": "an image (JPEG)",
        b"II*\x00": "an image (TIFF)",
        b"MM\x00*": "an image (TIFF)",
        b"II+\x00": "an image (TIFF)",
        b"\x89HDF": "an HDF5 file",
        b"\x93NUM": "a NumPy array",
    }
    for magic, kind in images.items():
        if start.startswith(magic):
            return f"it is {kind}"
    if not start:
        return "it is empty"
    if b"\0" not in start and all(byte < 128 for byte in start):
        return "it is a text file (a web page, saved by mistake?)"
    return "its first bytes are not those of a torch file"


def _check_archive(path: Path) -> None:
    """Compare the zip file's directory with its size before anything is unpacked.

    torch stores without compression, so that entries can be mapped from disk. Anything
    else was packed by somebody else, and could unpack to any size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise damaged(path, "its directory of contents is cut off") from error
    except Exception as error:
        # Python's reader meets damaged fields with whatever they make it stumble over.
        raise damaged(path, "its directory of contents is unreadable") from error
    size = path.stat().st_size
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise _unknown(path, "it is a compressed archive; unpack it first")
    if sum(entry.file_size for entry in entries) > size or any(
        entry.header_offset + entry.file_size > size for entry in entries
    ):
        raise damaged(path, "its contents are larger than the file")
    pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
    if len(pickles) != 1 or len({entry.filename for entry in entries}) != len(entries):
        raise _unknown(path, "it is an archive that torch did not write")
    if pickles[0].file_size > LARGEST_PICKLE:
        raise _unknown(path, "its description is larger than that of any network")


def _check_pickles(path: Path) -> None:
    """Walk through the pickles of a legacy file, without following any of them."""
    with path.open("rb") as file:
        start = io.BytesIO(file.read(LARGEST_PICKLE))
    whole = 0
    try:
        while whole < LEGACY_PICKLES:
            for _ in pickletools.genops(start):
                pass
            whole += 1
    except ValueError as error:
        if whole and LEGACY_MAGIC not in start.getvalue()[:64]:
            raise _hostile(path) from error
        if path.stat().st_size > LARGEST_PICKLE:
            raise _unknown(path, "it does not begin like a torch file") from error
        raise damaged(path, "it is not a complete torch file") from error


def _load(path: Path, zipped: bool) -> Any:
    import pickle

    import torch

    release = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if release < SAFE_SINCE:
        raise ModelError(
            f"torch {torch.__version__} cannot open foreign checkpoints safely "
            "(CVE-2025-32434); update torch to 2.6 or newer"
        )
    try:
        with (
            warnings.catch_warnings(),
            torch.serialization.safe_globals([argparse.Namespace]),
        ):
            warnings.simplefilter("ignore")
            return torch.load(
                str(path), map_location="cpu", weights_only=True, mmap=zipped
            )
    except pickle.UnpicklingError as error:
        if re.search("unsupported|blocked|disallowed", str(error), re.IGNORECASE):
            raise _hostile(path) from error
        raise damaged(path, "it is not a complete torch file") from error
    except MemoryError as error:
        raise ModelError(
            f"checkpoint {path} does not fit into memory; close other programs"
        ) from error
    except Exception as error:
        # A damaged file fails wherever the damage is met, with any kind of error.
        raise damaged(path, "it is not a complete torch file") from error


def _hostile(path: Path) -> ModelError:
    return ModelError(
        f"checkpoint {path} holds more than weights and could run code when opened, "
        "so it is not read; ask its authors for the weights alone, or get it again if "
        "it was damaged on the way"
    )


def damaged(path: Path, why: str) -> ModelError:
    """Return the error for a file whose bytes make no sense."""
    return ModelError(f"checkpoint {path} is damaged: {why}; get the file again")


def _unknown(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path} is no checkpoint that can be imported: {why}; RepMode .p, SparseSSP "
        ".pth, pytorch_fnet .p, VisCy .ckpt and GVTNet .index files can"
    )


PREFIXES = ("module.", "_forward_module.", "net.")
"""Prefixes of data-parallel wrappers before every name; they may be nested."""

MOST_TENSORS = 20_000
"""RepMode, the largest, has 309."""

COUNTER = "num_batches_tracked"
"""The only whole number among the weights: batches that a norm has seen."""

State = dict[str, "torch.Tensor"]


def checked_state(raw: Any, path: Path) -> State:
    """Check the weights, and strip the prefixes of wrappers from their names."""
    if type(raw).__name__ not in ("dict", "OrderedDict") or not raw:
        raise refusal(path, "it holds no table of weights")
    if len(raw) > MOST_TENSORS:
        raise refusal(path, f"it has {len(raw)} tensors, more than any known network")
    state: State = {}
    for name, tensor in raw.items():
        if not isinstance(name, str) or not name.isascii() or not name.isprintable():
            raise refusal(path, "a weight has a name that is not valid")
        short = re.sub(rf"^(?:{'|'.join(map(re.escape, PREFIXES))})+", "", name)
        if short in state:
            raise refusal(path, f"it has {short} twice")
        state[short] = _checked(tensor, short, path)
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    # Stride 0 and shared storages make small files into huge networks.
    if total > 2 * path.stat().st_size + 2**20:
        raise refusal(path, "its tensors claim to be larger than the file")
    return state


def check_finite(tensor: torch.Tensor, name: str, path: Path) -> None:
    """Refuse NaN and infinity."""
    if not tensor.isfinite().all():
        raise ModelError(
            f"checkpoint {path} has weights that are NaN or infinite ({name}): its "
            "training failed; ask for another one"
        )


def refusal(path: Path, why: str) -> ModelError:
    """Return the error for weights that are no network of ours."""
    return ModelError(
        f"checkpoint {path} cannot be imported: {why}; check that it is a RepMode, "
        "SparseSSP, pytorch_fnet, VisCy or GVTNet checkpoint, or get it again"
    )


def _checked(tensor: Any, name: str, path: Path) -> torch.Tensor:
    import torch

    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise refusal(path, f"{name} is not a tensor")
    tensor = tensor.detach()
    if (
        tensor.layout is not torch.strided
        or tensor.is_quantized
        or tensor.is_nested
        or tensor.device.type != "cpu"
        or tensor.is_complex()
    ):
        raise refusal(path, f"{name} is sparse, quantised or not a plain tensor")
    needed = tensor.numel() * tensor.element_size()
    if needed > tensor.untyped_storage().nbytes():
        raise refusal(path, f"{name} claims to be larger than what is stored")
    if name.endswith(COUNTER):
        fits = not tensor.dtype.is_floating_point and tensor.numel() == 1
    else:
        fits = tensor.dtype.is_floating_point
    if not fits:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise refusal(path, f"{name} has numbers of type {kind}")
    return tensor

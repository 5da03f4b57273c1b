"""List, find, load and save models: the shipped ones and the user's own.

Listing and finding read headers only and never load torch.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_sparsessp.errors import InputError, ModelError, invalid_field
from napari_sparsessp.files import atomic_write, folder_of, output_errors
from napari_sparsessp.models.bundle_file import (
    bundle_card,
    bundle_folder,
    member_files,
    read_bundle,
)
from napari_sparsessp.models.card import ModelCard, origin_words, parse_card
from napari_sparsessp.models.weights import (
    CARD_KEY,
    file_sha256,
    read_header,
    write_tensors,
)

if TYPE_CHECKING:
    import torch

DEFAULT_MODEL = "colony-3to2d"
"""Id of the model that ``default`` stands for."""

WEIGHTS_NAME = "model.safetensors"
CARD_NAME = "card.json"

TRAINING_IMAGES = "training_images.json"
"""Beside the shipped models: content hashes of the real stacks that each has seen."""

logger = logging.getLogger(__name__)


def shipped_folder() -> Path:
    """Return the folder of the models inside the package."""
    return Path(__file__).parent / "weights"


def user_folder() -> Path:
    """Return the folder of the user's own models; it need not exist."""
    return folder_of("models")


def weights_file(path: Path) -> Path:
    """Return the safetensors file of a model that is a file or a folder."""
    if bundle_folder(path) is not None:
        raise ModelError(
            f"{path} is a bundle of several models; name one of the .safetensors files "
            "in it"
        )
    if path.is_dir():
        if (path / WEIGHTS_NAME).is_file():
            return path / WEIGHTS_NAME
        raise ModelError(
            f"folder {path} holds no {WEIGHTS_NAME}; name a model's own folder"
        )
    if not path.exists():
        raise ModelError(f"there is no model file {path}; check the path")
    return path


def weights_files(path: Path) -> list[Path]:
    """Return the safetensors files of a model: of a bundle, its members'."""
    if (folder := bundle_folder(path)) is not None:
        return member_files(folder, read_bundle(folder))
    return [weights_file(path)]


def card_of(path: Path) -> ModelCard:
    """Read the card of a model file or folder.

    The card inside the weights file counts; ``card.json`` beside it is a copy to
    read, used only where the file has none. That of a bundle is made of its members'.
    """
    if (folder := bundle_folder(path)) is not None:
        members = [card_of(file) for file in weights_files(folder)]
        return bundle_card(read_bundle(folder), members)
    weights = weights_file(path)
    text = read_header(weights).metadata.get(CARD_KEY)
    beside = weights.parent / CARD_NAME
    if text is None and weights.name == WEIGHTS_NAME and beside.is_file():
        try:
            text = beside.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"cannot read {beside}; get the model's folder again"
            ) from error
    if text is None:
        raise ModelError(
            f"model file {weights} has no card, so nothing tells how to use it; "
            "save it again with napari_sparsessp.save_model"
        )
    card = parse_card(text, str(path))
    if weights.parent == shipped_folder() and not card.training_images:
        return card.model_copy(update={"training_images": _seen_by(card.id)})
    return card


def _seen_by(model_id: str) -> tuple[str, ...]:
    """Return the training images of a shipped model, whose card is older than these."""
    try:
        text = (shipped_folder() / TRAINING_IMAGES).read_text(encoding="utf-8")
    except OSError:
        return ()
    return tuple(json.loads(text).get(model_id, ()))


# List and find ----------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """An installed model, or a file that should be a model."""

    path: Path  # Its file or folder
    card: ModelCard | None  # None where it is damaged
    problem: str  # Why it cannot be used; "" for a whole model
    size: int  # Bytes on disk
    shipped: bool  # It came with the package
    sizes: tuple[int, ...] = ()  # Of a bundle's members, in their order

    @property
    def name(self) -> str:
        """Name for people; the file's name where it is damaged."""
        return self.path.name if self.card is None else self.card.name

    @property
    def is_default(self) -> bool:
        """Whether ``default`` stands for it."""
        return self.card is not None and self.card.id == DEFAULT_MODEL

    @property
    def origin(self) -> str:
        """Where it comes from, in a few words."""
        if self.card is None:
            return ""
        return origin_words(self.card.source, shipped=self.shipped)


def all_entries() -> list[Entry]:
    """List all models: the default, then the shipped ones, then the user's own.

    Headers are read only of files that have changed since the last call.
    """
    return sorted(_entries(), key=lambda entry: not entry.is_default)


def list_models() -> list[ModelCard]:
    """List the cards of all models that can be used, the default first.

    Examples
    --------
    >>> from napari_sparsessp import list_models
    >>> [card.id for card in list_models()][:2]
    ['colony-3to2d', 'colony-2d']
    """
    entries = all_entries()
    for entry in entries:
        if entry.card is None:
            logger.warning("left out model %s: %s", entry.path, entry.problem)
    return [entry.card for entry in entries if entry.card is not None]


def find_model(id_or_path: str | Path = "default", topology: str | None = None) -> Path:
    """Find the file or folder of a model by id or path, or the first of a topology."""
    wanted = str(id_or_path)
    if wanted == "default" and topology is not None:
        return _of_topology(topology)
    path = _by_id(DEFAULT_MODEL if wanted == "default" else wanted)
    if path is None:
        path = Path(wanted)
        try:
            path = path.expanduser()
            exists = path.exists()
        except (OSError, RuntimeError):  # no name that a file could have
            exists = False
        if not exists:
            raise _unknown(wanted[:80], path)
        path = bundle_folder(path) or path
    if topology is not None and card_of(path).topology != topology:
        raise ModelError(
            f"model {wanted} has topology {card_of(path).topology}, not {topology}; "
            "leave --topology out or name another model"
        )
    return path


def read_card(
    id_or_path: str | Path = "default", topology: str | None = None
) -> ModelCard:
    """Read the card of a model by its id or path, without torch."""
    return card_of(find_model(id_or_path, topology))


def _entries() -> Iterator[Entry]:
    for folder in (shipped_folder(), user_folder()):
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            is_folder, is_bundle = path.is_dir(), bundle_folder(path) is not None
            named = is_folder or path.suffix == ".safetensors"
            if not named or path.name.startswith("."):
                continue
            try:
                files = list(path.iterdir()) if is_folder else [path]
                states = [file.stat() for file in files]
                if is_folder and not is_bundle:
                    (path / WEIGHTS_NAME).stat()
            except OSError:  # no weights in this folder, or just removed
                continue
            version = tuple((s.st_mtime_ns, s.st_ino, s.st_size) for s in states)
            yield _entry(path, version)


@lru_cache(maxsize=4096)
def _entry(path: Path, version: tuple[tuple[int, int, int], ...]) -> Entry:
    size = sum(bytes_ for _, _, bytes_ in version)
    shipped = path.parent == shipped_folder()
    try:
        card = card_of(path)
        files = weights_files(path) if card.members else []
        sizes = tuple(file.stat().st_size for file in files)
        return Entry(path, card, "", size, shipped, sizes)
    except ModelError as error:
        return Entry(path, None, str(error), size, shipped)


def _by_id(model_id: str) -> Path | None:
    problem = ""
    for entry in _entries():
        if entry.card is None:
            problem = entry.problem if entry.path.stem == model_id else problem
        elif entry.card.id == model_id:
            return entry.path
    if problem:
        raise ModelError(problem)
    return None


def _of_topology(topology: str) -> Path:
    served = set()
    for entry in _entries():
        if entry.card is not None:
            if entry.card.topology == topology:
                return entry.path
            served.add(entry.card.topology)
    raise ModelError(
        f"no model of topology {topology} is installed; "
        f"choose one of: {', '.join(sorted(served)) or 'none'}"
    )


def _unknown(wanted: str, path: Path) -> ModelError:
    known = ", ".join(card.id for card in list_models()) or "none"
    if path.suffix or len(path.parts) > 1:
        return ModelError(
            f"there is no model file {wanted}; check the path, or use one of the "
            f"installed models: {known}"
        )
    return ModelError(
        f"there is no model called {wanted}; installed models: {known}; "
        f"your own belong into {user_folder()}"
    )


class IdTaken(ModelError):
    """A model of this id is installed already."""


def check_id_free(model_id: str, target: Path, overwrite: bool) -> None:
    """Never two models of one id, and none replaced without a word."""
    for entry in all_entries():
        if entry.card is None or entry.card.id != model_id:
            continue
        if entry.shipped:
            raise IdTaken(
                f"a model with the id {model_id} is installed already, with the "
                "plugin; choose another id"
            )
        if not (overwrite and entry.path == target):
            raise IdTaken(
                f"a model with the id {model_id} is installed already; remove that "
                "model first, or choose another id"
            )
    if target.exists() and not overwrite:
        raise IdTaken(f"{target} is there already; remove it first")


# Load and save ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Model:
    """A network ready to predict, with its card.

    Examples
    --------
    >>> from napari_sparsessp import load_model
    >>> model = load_model("default")
    >>> model.card.id, model.network.training, len(model.sha256)
    ('colony-3to2d', False, 64)
    """

    card: ModelCard
    network: torch.nn.Module  # In evaluation mode, on the CPU, float32
    sha256: str  # Of the weights file, for the provenance
    path: Path  # The model's file or folder


@dataclass(frozen=True, eq=False)
class Bundle(Model):
    """A model of several files, each loaded when its structures are predicted.

    Its SHA-256 is that of its members' digests, one a line.
    """

    network: torch.nn.Module = field(init=False, repr=False)  # It has none: `member`
    digests: tuple[str, ...]  # SHA-256 of each member's file

    def member(self, id_: str) -> Model:
        """Load a member by its id; ModelError where its file has changed since."""
        number = [card.id for card in self.card.members].index(id_)
        model = load_model(weights_files(self.path)[number])
        if model.sha256 != self.digests[number]:
            raise ModelError(
                f"member {id_} of bundle {self.card.id} has changed since the bundle "
                "was loaded; start again"
            )
        return model

    def __getattr__(self, name: str) -> Any:
        if name == "network":
            ids = ", ".join(card.id for card in self.card.members)
            raise ModelError(
                f"{self.card.id} is a bundle of several networks ({ids}), and one is "
                f"needed here; name one of the .safetensors files in {self.path}"
            )
        raise AttributeError(name)


def model_sha256(path: Path) -> str:
    """Return the SHA-256 of a model's weights: `Model.sha256`, without loading it."""
    digests = tuple(map(file_sha256, weights_files(path)))
    return digests[0] if bundle_folder(path) is None else _joined(digests)


def _joined(digests: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def load_model(
    id_or_path: str | Path = "default", topology: str | None = None
) -> Model:
    """Load a model by its id or path; of a bundle no network yet.

    Parameters
    ----------
    id_or_path
        ``default``, an id, a ``.safetensors`` file or a model's folder.
    topology
        With ``default``: take the first model of this topology.

    Raises
    ------
    ModelError
        There is no such model, it is damaged or too new, a pickle, or its weights
        do not fit its card.

    Examples
    --------
    >>> from napari_sparsessp import load_model
    >>> load_model("default").card.topology
    '3to2d'
    """
    path = find_model(id_or_path, topology)
    card = card_of(path)
    if card.members:
        digests = tuple(map(file_sha256, weights_files(path)))
        return Bundle(card, _joined(digests), path, digests)
    weights = weights_file(path)
    network = build_empty(card, path)
    header = read_header(weights)
    wanted = network.state_dict()
    _check_fit(wanted, header.shapes, header.types, path)
    digest = file_sha256(weights)

    import torch

    # Tensors made in inference mode could not be used outside of it.
    with torch.inference_mode(False):
        tensors = _read_weights(weights)
        for name, tensor in tensors.items():
            # A copy, so that the file can be replaced while the model is in use.
            tensors[name] = tensor.to(wanted[name].dtype, copy=True)
        network = fill(network, tensors, card)
    return Model(card, network, digest, path)


def save_model(
    path: str | Path,
    network: torch.nn.Module,
    card: ModelCard,
    dtype: torch.dtype | None = None,
) -> Path:
    """Save a network with its card.

    Parameters
    ----------
    path
        A ``.safetensors`` file, or a folder that gets ``model.safetensors`` and
        ``card.json``. A file of the same name is replaced in one step.
    network
        As `napari_sparsessp.networks.build_network` makes it from ``card.network``.
    dtype
        Floating type on disk, for example ``torch.float16`` for half the size.

    Returns
    -------
    The weights file.

    Raises
    ------
    ModelError
        A weight is NaN or infinite.
    OutputError
        The file cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from napari_sparsessp import load_model, save_model
    >>> model = load_model("default")
    >>> with TemporaryDirectory() as folder:
    ...     path = save_model(f"{folder}/copy.safetensors", model.network, model.card)
    ...     load_model(path).card == model.card
    True
    """
    path = Path(path)
    single = path.suffix == ".safetensors"
    folder, weights = (path.parent, path) if single else (path, path / WEIGHTS_NAME)
    tensors = {}
    for name, tensor in network.state_dict().items():
        if dtype is not None and tensor.is_floating_point():
            tensor = tensor.to(dtype)
        tensors[name] = tensor.detach().cpu()
    _check_finite(tensors, path)
    with output_errors(f"model {path}"):
        folder.mkdir(parents=True, exist_ok=True)
    write_tensors(weights, tensors, {CARD_KEY: card.to_json(indent=None)})
    if not single:
        write_card(folder, card)
    return weights


def write_card(folder: Path, card: ModelCard) -> None:
    """Write ``card.json``, the copy of a card beside its weights."""
    with atomic_write(folder / CARD_NAME, "model card") as part:
        part.write_text(card.to_json(), encoding="utf-8")


def build_empty(card: ModelCard, path: Path) -> torch.nn.Module:
    """Build the network of a card without weights: on the meta device, at no cost."""
    from napari_sparsessp.networks import NetworkConfig, build_network
    from napari_sparsessp.networks.layers import without_values

    try:
        with without_values():
            return build_network(NetworkConfig.model_validate(card.network))
    except (
        # A card that is no network of ours fails wherever it first makes no sense.
        ArithmeticError,
        AssertionError,
        InputError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        if isinstance(error, ValidationError):
            reason = invalid_field(error)[1]
        else:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"no network can be built from the card of model {path} ({reason}); "
            "update napari-sparsessp, or get the file again"
        ) from error


def fill(
    network: torch.nn.Module, tensors: dict[str, Any], card: ModelCard
) -> torch.nn.Module:
    """Put weights into a network of `build_empty`, without copying them.

    The network in evaluation mode, without gradients.
    """
    import torch

    network.load_state_dict(tensors, assign=True)
    parts = [*network.parameters(), *network.buffers()]
    if any(part.device.type == "meta" for part in parts):
        # It computes something when it is built that it does not save.
        from napari_sparsessp.networks import NetworkConfig, build_network

        with torch.random.fork_rng(devices=[]):
            network = build_network(NetworkConfig.model_validate(card.network))
        network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)


def _read_weights(weights: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(weights)
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelError(
            f"model file {weights} is damaged: {error}; get the file again"
        ) from error
    _check_finite(tensors, weights)
    return tensors


def _check_fit(
    wanted: dict[str, Any],
    shapes: dict[str, tuple[int, ...]],
    types: dict[str, str],
    path: Path,
) -> None:
    """Compare before anything is loaded, so that the message names the tensor."""
    for name in sorted({*wanted, *shapes}):
        place = tuple(wanted[name].shape) if name in wanted else None
        if place != shapes.get(name):
            raise ModelError(
                f"the weights of model {path} do not fit its card: {name} is "
                f"{_described(shapes.get(name))}, and the network needs "
                f"{_described(place)}; get the file again"
            )
    for name, tensor in wanted.items():
        # Whole numbers in the place of weights would be converted without a word.
        floating = types[name] in ("F16", "BF16", "F32", "F64")
        if floating != tensor.is_floating_point():
            raise ModelError(
                f"the weights of model {path} do not fit its card: {name} is of type "
                f"{types[name]}; get the file again"
            )


def _described(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "×".join(map(str, shape)) or "one number"


def _check_finite(tensors: dict[str, Any], where: Path) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ModelError(
                f"model {where} has weights that are NaN or infinite ({name}); "
                "it cannot predict anything: get it again or train it again"
            )

"""Save and load models: a network with its card."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_sparsessp.errors import InputError, ModelError, OutputError
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.header import CARD_KEY, read_header
from napari_sparsessp.models.registry import (
    CARD_NAME,
    WEIGHTS_NAME,
    card_of,
    find_model,
    weights_file,
)
from napari_sparsessp.models.serialisation import write_parts, write_tensors

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Model:
    """A network ready to predict, with its card.

    Attributes
    ----------
    card : ModelCard
    network : torch.nn.Module
        In evaluation mode, on the CPU, float32.
    sha256 : str
        Of the weights file, for the provenance.
    path : Path
        The model's file or folder.
    """

    card: ModelCard
    network: "torch.nn.Module"
    sha256: str
    path: Path


def load_model(
    id_or_path: str | Path = "default", topology: str | None = None
) -> Model:
    """Load a model by its id or path.

    Parameters
    ----------
    id_or_path : str or Path
        ``default``, an id, a ``.safetensors`` file or a model's folder.
    topology : str, optional
        With ``default``: take the first model of this topology.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        There is no such model, it is damaged or too new, a pickle, or its weights
        do not fit its card.
    """
    path = find_model(id_or_path, topology)
    card = card_of(path)
    weights = weights_file(path)
    network = build_empty(card, path)
    header = read_header(weights)
    _check_shapes(network, header.shapes, path)
    _check_types(network, header.types, path)
    digest = file_sha256(weights)
    wanted = network.state_dict()

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
    network: "torch.nn.Module",
    card: ModelCard,
    dtype: "torch.dtype | None" = None,
) -> Path:
    """Save a network with its card.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file, or a folder that gets ``model.safetensors`` and
        ``card.json``. A file of the same name is replaced in one step.
    network : torch.nn.Module
        As `napari_sparsessp.networks.build_network` makes it from ``card.network``.
    card : ModelCard
    dtype : torch.dtype, optional
        Floating type on disk, for example ``torch.float16`` for half the size.

    Returns
    -------
    Path
        The weights file.

    Raises
    ------
    ModelError
        A weight is NaN or infinite.
    OutputError
        The file cannot be written.
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(weights, tensors, {CARD_KEY: card.to_json(indent=None)})
        if not single:
            write_text(folder / CARD_NAME, card.to_json())
    except OSError as error:
        raise OutputError(
            f"cannot write model {path}: {error.strerror or error}; "
            "choose another place"
        ) from error
    return weights


def file_sha256(path: Path) -> str:
    """Give the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a small file in one step.

    Raises
    ------
    OSError
        It cannot be written.
    """
    content = text.encode()
    write_parts(path, b"", [content], len(content))


def build_empty(card: ModelCard, path: Path) -> "torch.nn.Module":
    """Build the network of a card without weights: on the meta device, at no cost.

    Parameters
    ----------
    card : ModelCard
    path : Path
        For the messages.

    Raises
    ------
    ModelError
        There is no such network.
    """
    import torch

    from napari_sparsessp.networks import NetworkConfig, build_network

    try:
        with torch.device("meta"):
            return build_network(NetworkConfig.model_validate(card.network))
    except ValidationError as error:
        first = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ModelError(
            f"no network can be built from the card of model {path} ({first}); "
            "update napari-sparsessp, or get the file again"
        ) from error
    except (
        ArithmeticError,
        AssertionError,
        InputError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        # A card that is no network of ours fails wherever it first makes no sense.
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"no network can be built from the card of model {path} ({first}); "
            "update napari-sparsessp, or get the file again"
        ) from error


def fill(
    network: "torch.nn.Module", tensors: dict[str, Any], card: ModelCard
) -> "torch.nn.Module":
    """Put weights into a network of `build_empty`, without copying them.

    Parameters
    ----------
    network : torch.nn.Module
    tensors : dict of str to Tensor
        One for each of the network's, of the same shape and type.
    card : ModelCard

    Returns
    -------
    torch.nn.Module
        In evaluation mode, without gradients.
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


def _check_shapes(
    network: "torch.nn.Module", shapes: dict[str, tuple[int, ...]], path: Path
) -> None:
    """Compare before anything is loaded, so that the message names the tensor."""
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    for name in sorted({*wanted, *shapes}):
        if wanted.get(name) != shapes.get(name):
            raise ModelError(
                f"the weights of model {path} do not fit its card: {name} is "
                f"{_described(shapes.get(name))}, and the network needs "
                f"{_described(wanted.get(name))}; get the file again"
            )


def _check_types(network: "torch.nn.Module", types: dict[str, str], path: Path) -> None:
    """Whole numbers in the place of weights would be converted without a word."""
    for name, place in network.state_dict().items():
        floating = types[name] in ("F16", "BF16", "F32", "F64")
        if floating != place.is_floating_point():
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

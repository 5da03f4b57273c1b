"""Load published weights from a local file into a backbone's trunk.

Names differ between releases of the transformers library and the files published for
it: both the file's and the trunk's are brought to one spelling before they are matched.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_sparsessp.errors import ModelError
from napari_sparsessp.networks.backbones.adaptation import (
    adapt_channels,
    resize_kernel,
    resize_positions,
)

_PREFIX = re.compile(r"^(?:module|model|backbone|vit|swin|resnet|dinov2)\.")
_SPELLINGS = (
    (re.compile(r"^encoder\.layer\."), "layers."),
    (re.compile(r"\.attention\.(?:attention|self)\."), ".attention."),
    (re.compile(r"\.attention\.output\.dense\."), ".attention.o_proj."),
    (re.compile(r"\.attention\.(q)uery\."), r".attention.\1_proj."),
    (re.compile(r"\.attention\.(k)ey\."), r".attention.\1_proj."),
    (re.compile(r"\.attention\.(v)alue\."), r".attention.\1_proj."),
    (re.compile(r"\.intermediate\.dense\."), ".mlp.fc1."),
    (re.compile(r"\.output\.dense\."), ".mlp.fc2."),
    (re.compile(r"\.relative_position_bias\.relative"), ".relative"),
)
# What a trunk has no use for: heads, and the tokens of masked training.
_IGNORED = re.compile(
    r"^(?:classifier|pooler|head|decoder|layernorm)\.|mask_token$"
    r"|relative_position_index$|num_batches_tracked$"
)
# Fresh ones are right: norms that the pyramid adds, and indices the library computes.
_OPTIONAL = re.compile(
    r"^hidden_states_norms\.|relative_position_index$|num_batches_tracked$"
)
_FIRST_LAYERS = {
    "embeddings.patch_embeddings.projection.weight",
    "embedder.embedder.convolution.weight",
}
_POSITIONS = "embeddings.position_embeddings"


def plain_name(name: str) -> str:
    """A tensor's name in the one spelling."""
    while (shorter := _PREFIX.sub("", name, count=1)) != name:
        name = shorter
    for pattern, spelling in _SPELLINGS:
        name = pattern.sub(spelling, name)
    return name


def weights_file(path: Path) -> Path:
    """The safetensors file that a path means.

    Raises
    ------
    ModelError
        There is none, or it is of another kind: a pickle could run code.
    """
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise ModelError(
            f"there are no backbone weights at {file}; give a .safetensors file or a "
            "folder that holds model.safetensors"
        )
    if file.suffix.lower() != ".safetensors":
        raise ModelError(
            f"backbone weights {file.name} are not a .safetensors file; other kinds "
            "are never opened, because they can run code: convert them first"
        )
    return file


def load_weights(name: str, trunk: nn.Module, path: Path) -> None:
    """Copy a local file's weights into a trunk.

    The first layer and the positions are fitted to the trunk's.

    Parameters
    ----------
    name : str
        The backbone's, for messages.
    trunk : Module
        Changed in place; untouched tensors stay where the file has none to give.
    path : Path
        A ``.safetensors`` file, or a folder that holds ``model.safetensors``.

    Raises
    ------
    ModelError
        The file is missing, damaged or another network's; names the first tensor that
        does not fit.
    """
    from safetensors import SafetensorError, safe_open

    file = weights_file(path)
    try:
        with safe_open(file, framework="pt") as handle:
            _copy_all(name, trunk, handle, file.name)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"backbone weights {file.name} cannot be read as safetensors; get the "
            "file again"
        ) from error


def _copy_all(name: str, trunk: nn.Module, handle: Any, file: str) -> None:
    stored = {plain_name(key): key for key in handle.keys()}  # noqa: SIM118
    wanted = {plain_name(key): value for key, value in trunk.state_dict().items()}
    advice = f"choose a file published for {name}"
    if extra := sorted(k for k in set(stored) - set(wanted) if not _IGNORED.search(k)):
        raise ModelError(
            f"backbone weights {file} hold {stored[extra[0]]}, which {name} does not "
            f"have; {advice}"
        )
    if gone := sorted(k for k in set(wanted) - set(stored) if not _OPTIONAL.search(k)):
        raise ModelError(
            f"backbone weights {file} lack {gone[0]}, which {name} needs; {advice}"
        )
    for key, target in wanted.items():
        if key not in stored or _OPTIONAL.search(key):
            continue
        tensor = handle.get_tensor(stored[key])
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise ModelError(
                f"backbone weights {file} hold values in {stored[key]} that are not "
                "finite numbers; get the file again"
            )
        published = tuple(tensor.shape)
        tensor = _fitted(key, tensor.float(), target)
        if tensor.shape != target.shape:
            raise ModelError(
                f"backbone weights {file} hold {stored[key]} as {published}, where "
                f"{name} needs {tuple(target.shape)}; {advice}"
            )
        with torch.no_grad():
            target.copy_(tensor)


def _fitted(key: str, tensor: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    if key in _FIRST_LAYERS and tensor.ndim == 4 and tensor.shape[1]:
        tensor = adapt_channels(tensor, target.shape[1])
        # A transformer's patches can have any size; a ResNet's kernel cannot.
        if "patch" in key and tensor.shape[-1] == tensor.shape[-2]:
            tensor = resize_kernel(tensor, target.shape[-1])
    elif key == _POSITIONS and tensor.ndim == 3 and tensor.shape[1] > 1:
        tensor = resize_positions(tensor, target.shape[1])
    return tensor

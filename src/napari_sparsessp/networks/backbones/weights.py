"""Load published weights into a backbone's trunk.

Names differ between releases of the transformers library and the files published for
it: both the file's and the trunk's are brought to one spelling before they are matched.
"""

import re
from collections.abc import Mapping

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


def load_weights(
    name: str, trunk: nn.Module, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Copy published weights into a trunk.

    The first layer and the positions are fitted to the trunk's.

    Parameters
    ----------
    name : str
        The backbone's, for messages.
    trunk : Module
        Changed in place; what has no counterpart among `tensors` stays.
    tensors : mapping
        Tensors by their published names.

    Raises
    ------
    ModelError
        They are another network's; names the first tensor that does not fit.
    """
    stored = {plain_name(key): key for key in tensors}
    wanted = {plain_name(key): value for key, value in trunk.state_dict().items()}
    advice = f"choose a file published for {name}"
    if extra := sorted(k for k in set(stored) - set(wanted) if not _IGNORED.search(k)):
        raise ModelError(
            f"the backbone weights hold {stored[extra[0]]}, which {name} does not "
            f"have; {advice}"
        )
    if gone := sorted(k for k in set(wanted) - set(stored) if not _OPTIONAL.search(k)):
        raise ModelError(
            f"the backbone weights lack {gone[0]}, which {name} needs; {advice}"
        )
    for key, target in wanted.items():
        if key in stored and not _OPTIONAL.search(key):
            _copy(name, key, target, stored[key], tensors[stored[key]])


def _copy(
    name: str, key: str, target: torch.Tensor, published: str, tensor: torch.Tensor
) -> None:
    if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
        raise ModelError(
            f"the backbone weights hold values in {published} that are not finite "
            "numbers; get the file again"
        )
    fitted = _fitted(key, tensor.float(), target)
    if fitted.shape != target.shape:
        raise ModelError(
            f"the backbone weights hold {published} as {tuple(tensor.shape)}, where "
            f"{name} needs {tuple(target.shape)}; choose a file published for {name}"
        )
    with torch.no_grad():
        target.copy_(fitted)


def _fitted(key: str, tensor: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    if key in _FIRST_LAYERS and tensor.ndim == 4 and tensor.shape[1]:
        tensor = adapt_channels(tensor, target.shape[1])
        # A transformer's patches can have any size; a ResNet's kernel cannot.
        if "patch" in key and tensor.shape[-1] == tensor.shape[-2]:
            tensor = resize_kernel(tensor, target.shape[-1])
    elif key == _POSITIONS and tensor.ndim == 3 and tensor.shape[1] > 1:
        tensor = resize_positions(tensor, target.shape[1])
    return tensor

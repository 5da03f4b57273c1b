"""Build a backbone by its name."""

from collections.abc import Mapping

import torch

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks.backbones.catalogue import backbone_spec
from napari_sparsessp.networks.backbones.extra import transformers_for
from napari_sparsessp.networks.backbones.pyramid import Backbone2d
from napari_sparsessp.networks.backbones.resnet import ResNetPyramid
from napari_sparsessp.networks.backbones.swin import SwinPyramid
from napari_sparsessp.networks.backbones.vit import ViTPyramid
from napari_sparsessp.networks.backbones.weights import load_weights


def build_backbone(
    name: str,
    channels: int,
    *,
    patch_size: int | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
    image_size: int = 128,
    taps: bool = False,
    tiny: bool = False,
) -> Backbone2d:
    """A 2D backbone with random weights, or with given ones.

    Nothing is ever downloaded.

    Parameters
    ----------
    name : {"resnet18", "swin_b", "vit_b", "vit_l", "dinov2_b"}
    channels : int
        Input channels.
    patch_size : int, optional
        Pixels along a patch of a vision transformer, 1 to 64; 16 where left out, also
        for DINOv2, whose published kernel of 14 is then resampled.
    weights : mapping, optional
        Tensors as published for the transformers library, by their names there. The
        first layer and the positions are fitted to `channels`, `patch_size` and
        `image_size`.
    image_size : int
        Height and width in pixels for which positions are stored; images of any other
        size work too.
    taps : bool
        Vision transformers: take the levels from several depths (as in UNETR).
    tiny : bool
        The same architecture with few, narrow layers, for tests.

    Returns
    -------
    Backbone2d
        (B, channels, H, W) → five tensors at strides 1, 2, 4, 8, 16, for H and W that
        are multiples of 16; ``.widths`` gives their channels.

    Raises
    ------
    InputError
        The transformers library is missing, or an option does not fit the backbone.
    ModelError
        `weights` are another network's.
    """
    spec = backbone_spec(name, tiny=tiny)
    is_vit = spec.kind in {"vit", "dinov2"}
    if channels < 1 or image_size < 1:
        raise InputError(
            f"backbone {name} cannot have {channels} channels and images of "
            f"{image_size} px; both start at 1"
        )
    if (patch_size is not None or taps) and not is_vit:
        raise InputError(
            f"backbone {name} has no patch_size or taps to choose; leave them out or "
            "choose vit_b, vit_l or dinov2_b"
        )
    patch = spec.patch if patch_size is None else patch_size
    if not 1 <= patch <= 64:
        raise InputError(f"patch_size {patch} is not possible; choose 1 to 64 pixels")
    library = transformers_for(name)
    backbone: Backbone2d
    if is_vit:
        backbone = ViTPyramid(name, spec, channels, library, image_size, patch, taps)
    elif spec.kind == "swin":
        backbone = SwinPyramid(name, spec, channels, library, image_size)
    else:
        backbone = ResNetPyramid(name, spec, channels, library)
    if weights is not None:
        load_weights(name, backbone.trunk, weights)
    return backbone

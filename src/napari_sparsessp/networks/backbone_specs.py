"""Describe the 2D backbones of the paper's Table 5 in numbers; needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

STRIDE = 16
"""Height and width of a backbone's input are multiples of this."""

Kind = Literal["resnet", "swin", "vit", "dinov2"]


@dataclass(frozen=True)
class BackboneSpec:
    """One backbone in numbers."""

    kind: Kind  # family: which class of the transformers library it is
    widths: tuple[int, int, int, int, int]  # channels at strides 1, 2, 4, 8, 16
    patch: int  # pixels along a side; 1 where the image is not cut in patches
    shape: Mapping[str, Any]  # options of the library's configuration class


def _resnet(hidden: tuple[int, ...], depth: int, stem: int) -> BackboneSpec:
    shape = {
        "layer_type": "basic",
        "embedding_size": hidden[0],
        "hidden_sizes": list(hidden),
        "depths": [depth] * 4,
    }
    widths = (stem, hidden[0], hidden[0], hidden[1], hidden[3])
    return BackboneSpec("resnet", widths, 1, shape)


def _swin(
    embedding: int, depths: list[int], heads: list[int], stems: tuple[int, int]
) -> BackboneSpec:
    shape = {
        "embed_dim": embedding,
        "depths": depths,
        "num_heads": heads,
        "window_size": 7,
        "drop_path_rate": 0.1,
    }
    widths = (*stems, embedding, 2 * embedding, 4 * embedding)
    return BackboneSpec("swin", widths, 4, shape)


def _vit(
    kind: Kind, hidden: int, layers: int, heads: int, stems: tuple[int, int]
) -> BackboneSpec:
    shape: dict[str, Any] = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }
    if kind == "dinov2":
        shape["mlp_ratio"] = 4
    else:
        shape["intermediate_size"] = 4 * hidden
    widths = (*stems, hidden // 4, hidden // 2, hidden)
    return BackboneSpec(kind, widths, 16, shape)


BACKBONES = {
    "resnet18": _resnet((64, 128, 256, 512), 2, stem=32),
    "swin_b": _swin(128, [2, 2, 18, 2], [4, 8, 16, 32], (32, 64)),
    "vit_b": _vit("vit", 768, 12, 12, (32, 64)),
    "vit_l": _vit("vit", 1024, 24, 16, (32, 64)),
    # The published kernel of 14 × 14 pixels is resampled, so that features lie on the
    # decoder's grid.
    "dinov2_b": _vit("dinov2", 768, 12, 12, (32, 64)),
}
"""The backbones of Table 5."""

_TINY = {
    "resnet": _resnet((8, 8, 16, 32), 1, stem=4),
    "swin": _swin(8, [2, 1, 1, 1], [1, 2, 2, 4], (4, 8)),
    "vit": _vit("vit", 32, 4, 2, (4, 8)),
    "dinov2": _vit("dinov2", 32, 4, 2, (4, 8)),
}


def backbone_spec(name: str, *, tiny: bool = False) -> BackboneSpec:
    """Return a backbone's numbers; `tiny`: few, narrow layers of the same kind."""
    spec = BACKBONES[name]
    return _TINY[spec.kind] if tiny else spec

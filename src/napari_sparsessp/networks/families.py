"""The families of networks: what exists of each, and its published widths.

Needs no torch.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Topology = Literal["3d", "2d", "2to3d", "3to2d"]
DepthMapping = Literal["prefix", "postfix", "none"]
Conditioning = Literal[
    "multinet", "multihead", "condnet", "dodnet", "tgnet", "tsn", "repmode"
]
TOPOLOGIES, MAPPINGS = get_args(Topology), get_args(DepthMapping)
CONDITIONINGS = get_args(Conditioning)
BACKBONES_2D = ("resnet18", "swin_b", "vit_b", "vit_l", "dinov2_b")
UNEXT = ("fcmae", "unext2")
"""Networks of `napari_sparsessp.networks.unext`."""

UNEXT_FIELDS = ("stem", "decoder_blocks", "head_form", "head_expansion", "head_pool")
"""Of `NetworkConfig`, that mean something to these alone."""


@dataclass(frozen=True)
class Family:
    """A backbone family: what exists of it, and its published widths."""

    source: str  # where the family comes from
    topologies: tuple[str, ...] = TOPOLOGIES
    mappings: tuple[str, ...] = MAPPINGS
    projections: tuple[str, ...] = ("3d", "2d")
    conditionings: tuple[str, ...] = CONDITIONINGS
    defaults: dict[str, Any] = field(default_factory=dict)
    # Of single topologies; before `defaults`.
    by_topology: dict[str, dict[str, Any]] = field(default_factory=dict)


_PLAIN: dict[str, Any] = {
    "inputs": 1,
    "encoder_widths": (32, 64, 128, 256, 512),
    "encoder_blocks": (1, 1, 1, 1, 1),
    "decoder_widths": (32, 64, 128, 256),
    "folded_width": 256,
    "norm": "batch",
}


def _slim(encoder: tuple[int, ...], decoder: tuple[int, ...]) -> dict[str, Any]:
    blocks = (1,) * len(encoder)
    widths = {"encoder_widths": encoder, "decoder_widths": decoder}
    return widths | {"encoder_blocks": blocks}


FAMILIES: dict[str, Family] = {
    "slim": Family(
        "this project; nothing 3D is computed at full resolution",
        mappings=("prefix",),
        conditionings=("multihead",),
        defaults={
            "inputs": 2,
            "encoder_widths": (32, 64, 128),
            "encoder_blocks": (1, 2, 2),
            "decoder_widths": (96, 128, 192, 256),
            "folded_width": 128,
            "norm": "none",
        },
        by_topology={
            "2d": _slim((96, 144, 192), (96, 128, 160, 192)),
            "3d": _slim((24, 64, 128), (32, 64, 128)),
            "2to3d": _slim((96, 144, 192), (32, 64, 128)) | {"projection": "2d"},
        },
    ),
    "dod": Family(
        "DoDNet's residual U-Net, the one whose cost the paper reports",
        defaults={
            "inputs": 1,
            "encoder_widths": (32, 64, 128, 256, 256),
            "encoder_blocks": (1, 2, 2, 2, 2),
            "decoder_widths": (32, 32, 64, 128),
            "folded_width": 256,
            "norm": "group",
        },
    ),
    "plain": Family(
        "RepMode's U-Net, the one of the released code",
        projections=("3d", "2d", "code"),
        defaults=_PLAIN,
    ),
    "fnet": Family(
        "Ounkomol et al. 2018: plain with biases",
        conditionings=("multinet", "multihead"),
        defaults={**_PLAIN, "bias": True},
    ),
    "gvt": Family(
        "Wang, Xie and Ji 2021: a 3D U-Net whose bottleneck attends to the whole stack",
        topologies=("3d",),
        mappings=("prefix",),
        conditionings=("multihead",),
        defaults={
            "topology": "3d",
            "inputs": 1,
            "encoder_widths": (32, 64, 128, 256),
            "encoder_blocks": (1, 1, 1, 1),
            "decoder_widths": (32, 64, 128),
            "norm": "batch",
        },
    ),
    "fnet3d": Family(
        "VisCy's DynaCell benchmark, after Ounkomol et al. 2018",
        topologies=("3d",),
        mappings=("prefix",),
        conditionings=("multihead",),
        defaults={
            "topology": "3d",
            "inputs": 1,
            "encoder_widths": (32, 64, 128, 256, 512),
            "encoder_blocks": (1, 1, 1, 1, 1),
            "decoder_widths": (32, 64, 128, 256),
            "norm": "batch",
            "bias": True,
        },
    ),
    **{
        name: Family(
            "Liu, Hirata-Miyasaki et al. 2025, as VisCy trains it",
            topologies=("3to2d", "2d"),
            mappings=("prefix",),
            projections=("3d",),
            conditionings=("multihead",),
            defaults={
                "inputs": 1,
                "outputs": 2,
                "depth": 15 if name == "fcmae" else 5,
                "encoder_widths": (96, 192, 384, 768),
                "encoder_blocks": (3, 3, 9, 3),
                "stem": (5, 4, 4),
                "head_form": "shuffle" if name == "fcmae" else "convolution",
                "head_expansion": 4,
            },
            by_topology={"2d": {"depth": 1, "stem": (1, 2, 2)}},
        )
        for name in UNEXT
    },
    **{
        name: Family(
            "Table 5 of the paper, through the transformers library",
            topologies=("2d", "2to3d"),
            conditionings=tuple(c for c in CONDITIONINGS if c != "repmode"),
            defaults={**_PLAIN, "conditioning": "tsn", "topology": "2d"},
        )
        for name in BACKBONES_2D
    },
}
"""Families by the name that `NetworkConfig.backbone` takes."""

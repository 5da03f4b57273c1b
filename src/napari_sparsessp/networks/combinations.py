"""Which networks exist: one table of families, one list of rules, one error."""

from dataclasses import dataclass, field
from math import gcd
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_sparsessp.networks.config import NetworkConfig

TOPOLOGIES = ("3d", "2d", "2to3d", "3to2d")
MAPPINGS = ("prefix", "postfix", "none")
PROJECTIONS = ("3d", "2d", "code")
CONDITIONINGS = (
    "multinet",
    "multihead",
    "condnet",
    "dodnet",
    "tgnet",
    "tsn",
    "repmode",
)
BACKBONES_2D = ("resnet18", "swin_b", "vit_b", "vit_l", "dinov2_b")


@dataclass(frozen=True)
class Family:
    """What a backbone family can be combined with, and its published widths.

    Attributes
    ----------
    source : str
        Where the family comes from.
    topologies, mappings, projections, conditionings : tuple of str
        What exists.
    defaults : dict
        Values of `NetworkConfig` where it is silent.
    by_topology : dict
        The same of single topologies; they come before `defaults`.
    """

    source: str
    topologies: tuple[str, ...] = TOPOLOGIES
    mappings: tuple[str, ...] = MAPPINGS
    projections: tuple[str, ...] = PROJECTIONS[:2]
    conditionings: tuple[str, ...] = CONDITIONINGS
    defaults: dict[str, Any] = field(default_factory=dict)
    by_topology: dict[str, dict[str, Any]] = field(default_factory=dict)


_PLAIN: dict[str, Any] = {
    "inputs": 1,
    "encoder_widths": (32, 64, 128, 256, 512),
    "encoder_blocks": (1, 1, 1, 1, 1),
    "decoder_widths": (32, 64, 128, 256),
    "folded_width": 256,
    "norm": "batch",
}

_SLIM: dict[str, dict[str, Any]] = {
    "2d": {
        "encoder_widths": (96, 144, 192),
        "encoder_blocks": (1, 1, 1),
        "decoder_widths": (96, 128, 160, 192),
    },
    "3d": {
        "encoder_widths": (24, 64, 128),
        "encoder_blocks": (1, 1, 1),
        "decoder_widths": (32, 64, 128),
    },
    "2to3d": {
        "encoder_widths": (96, 144, 192),
        "encoder_blocks": (1, 1, 1),
        "decoder_widths": (32, 64, 128),
        "projection": "2d",
    },
}

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
        by_topology=_SLIM,
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
        projections=PROJECTIONS,
        defaults=_PLAIN,
    ),
    "fnet": Family(
        "Ounkomol et al. 2018: plain with biases",
        conditionings=("multinet", "multihead"),
        defaults={**_PLAIN, "bias": True},
    ),
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


def why_not(config: "NetworkConfig") -> str | None:
    """Say why a combination does not exist, or None where it does."""
    family = FAMILIES[config.backbone]
    for aspect, plural in (
        ("topology", "topologies"),
        ("mapping", "mappings"),
        ("conditioning", "conditionings"),
    ):
        exists = getattr(family, plural)
        if getattr(config, aspect) not in exists:
            return (
                f"backbone {config.backbone} does not exist with {aspect} "
                f"{getattr(config, aspect)}; choose {' or '.join(exists)}"
            )
    mixed = config.topology in ("2to3d", "3to2d")
    if mixed and config.projection not in family.projections:
        return (
            f"backbone {config.backbone} has no projection {config.projection}; "
            f"choose {' or '.join(family.projections)}"
        )
    return _rules(config)


def _rules(config: "NetworkConfig") -> str | None:
    if config.mapping == "none" and config.topology not in ("2d", "3to2d"):
        return (
            "mapping none needs a 2D decoder, whose channels are the dense planes; "
            "choose topology 2d or 3to2d"
        )
    if config.projection == "code" and (
        config.topology != "3to2d" or config.conditioning != "repmode"
    ):
        return (
            "projection code is that of the released network; it needs topology 3to2d "
            "and conditioning repmode"
        )
    if config.ratio > 1 and config.mapping == "prefix" and config.encoder_3d:
        return (
            "a 3D encoder with mapping prefix sees the dense grid, so its ratio is 1; "
            "one network serves all ratios"
        )
    if config.task_where == "input" and config.conditioning == "tgnet":
        return "tgnet has no task_where input; choose decoder or all"
    if config.depth % config.ratio:
        return f"depth {config.depth} is not a multiple of ratio {config.ratio}"
    if config.conditioning == "condnet" and _levels_out(config):
        return (
            "a norm of single channels takes away what condnet adds to them, so that "
            "all structures would be one; choose norm batch, or fewer groups"
        )
    if config.standardised and config.conditioning == "repmode":
        return "the merged kernels of repmode are not standardised; set it to false"
    return None


def _levels_out(config: "NetworkConfig") -> bool:
    """Whether the norm sees each of the decoder's channels by itself."""
    if config.norm == "group":
        return all(
            gcd(config.groups, width) == width for width in config.decoder_widths
        )
    return config.norm == "instance"

"""Describe a network: which combinations exist, and their shape.

One table of families (`families`), one list of rules, one error. Needs no torch.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import gcd
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_sparsessp.networks.families import (
    BACKBONES_2D,
    FAMILIES,
    UNEXT,
    Conditioning,
    DepthMapping,
    Topology,
)


def why_not(config: "NetworkConfig") -> str | None:
    """Return why a combination does not exist, or None where it does."""
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
    if config.backbone in UNEXT:
        return _unfit_unext(config)
    if config.backbone == "fnet3d":
        return _unfit_fnet3d(config)
    return _unfit_options(config) or _unfit_levels(config)


def _unfit_options(config: "NetworkConfig") -> str | None:
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
    single = config.norm == "instance" or (
        config.norm == "group"
        and all(gcd(config.groups, width) == width for width in config.decoder_widths)
    )
    if config.conditioning == "condnet" and single:
        return (
            "a norm of single channels takes away what condnet adds to them, so that "
            "all structures would be one; choose norm batch, or fewer groups"
        )
    if config.standardised and config.conditioning == "repmode":
        return "the merged kernels of repmode are not standardised; set it to false"
    if config.tokens is not None and config.backbone in ("resnet18", "swin_b"):
        return (
            f"backbone {config.backbone} has no tokens to choose; leave them out or "
            "choose vit_b, vit_l or dinov2_b"
        )
    return None


def _unfit_unext(config: "NetworkConfig") -> str | None:
    """Return why a network of `UNEXT` does not exist."""
    if config.inputs != 1 or config.ratio != 1 or config.heads != "last":
        return (
            f"backbone {config.backbone} takes the dense stack alone and has a single "
            "decoder; leave out inputs, ratio and heads"
        )
    if config.norm != "none" or config.standardised:
        return (
            f"backbone {config.backbone} has norms of its own; leave out norm and "
            "standardised"
        )
    z, y, x = config.stem
    widths = config.encoder_widths
    if y != x or x not in (2, 4, 8):
        return f"stem {z},{y},{x} does not exist; y and x are both 2, 4 or 8"
    if config.depth % z or widths[0] % (config.depth // z):
        return (
            f"depth {config.depth} is not made of groups of {z} planes that share "
            f"{widths[0]} channels; choose another depth or stem"
        )
    if (config.depth == 1) != (config.topology == "2d"):
        return "a depth of 1 is topology 2d, and any other is 3to2d"
    if config.head_form == "convolution" and x != 4:
        return "head_form convolution gives 4×4 pixels; choose a stem of 4,4 in y, x"
    if len(widths) < 2 or len(config.encoder_blocks) != len(widths):
        return "encoder_blocks needs one entry for each of encoder_widths, two or more"
    if any(width % 4 for width in widths[1:]):
        return "encoder_widths below the first must be multiples of 4"
    wanted = unext_decoder(config.model_dump())
    if config.decoder_widths != wanted:
        shown = ", ".join(map(str, wanted))
        return f"decoder_widths follow from the rest; leave them out, or give {shown}"
    return None


def _unfit_fnet3d(config: "NetworkConfig") -> str | None:
    widths = config.encoder_widths
    plain = config.norm == "batch" and config.bias and config.kernel == 3
    if not plain or config.standardised or config.heads != "last" or config.inputs > 1:
        return (
            "backbone fnet3d has one input, batch norms, kernels of 3 and a last layer "
            "for all structures; leave out what says otherwise"
        )
    step = 2 ** (len(widths) - 1)
    if config.ratio > 1 or config.depth % step:
        return (
            f"depth {config.depth} is not a multiple of {step}, which {len(widths)} "
            "levels need, or the ratio is not 1"
        )
    if config.decoder_widths != widths[:-1]:
        return "decoder_widths are encoder_widths without the last; leave them out"
    return None


def unext_decoder(fields: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the decoder's widths from full resolution down, which the rest decides.

    The last one holds all voxels of a place: planes × pixels × outputs, or what the
    convolution of the head takes.
    """
    depth, outputs = int(fields["depth"]), int(fields["outputs"])
    widths = tuple(int(width) for width in fields["encoder_widths"])
    pixels = int(fields["stem"][2])
    if fields["head_form"] == "shuffle":
        last = outputs * depth * pixels**2
    else:
        # FCMAE counts its inputs where UNeXt2 counts its outputs.
        share = outputs if fields["backbone"] == "unext2" else 1
        last = (depth + 2) * share * 4 * int(fields["head_expansion"])
    return (last, *widths[1:-1])


def _unfit_levels(config: "NetworkConfig") -> str | None:
    levels, blocks = len(config.encoder_widths), len(config.encoder_blocks)
    more = len(config.decoder_widths) - levels
    if config.backbone == "gvt":
        return _unfit_gvt(config)
    if config.backbone != "slim":
        if more != -1:
            return "decoder_widths needs one entry less than encoder_widths"
        if config.backbone == "dod" and blocks != levels:
            return "encoder_blocks needs one entry for each of encoder_widths"
        if config.backbone in BACKBONES_2D and levels != 5:
            return "a 2D backbone gives five levels"
        if config.topology == "3to2d" and config.folded_width < config.planes:
            return (
                f"folded_width {config.folded_width} is smaller than the "
                f"{config.planes} planes that it has to hold"
            )
        return None
    if blocks != levels or more != (not config.decoder_3d):
        return (
            "encoder_blocks needs one entry for each of encoder_widths, "
            f"decoder_widths {'too' if config.decoder_3d else 'one more'}"
        )
    if levels > 8 or (config.topology != "2d" and config.depth % 2**levels):
        return (
            f"depth {config.depth} is not a multiple of {2**levels}, "
            f"which {levels} levels need"
        )
    half = config.depth // 2
    if config.topology == "3to2d" and config.folded_width % half:
        return f"folded_width {config.folded_width} is not a multiple of {half}"
    return None


def _unfit_gvt(config: "NetworkConfig") -> str | None:
    widths, step = config.encoder_widths, config.stride
    fixed = {
        "inputs": 1,
        "encoder_blocks": (1,) * len(widths),
        "decoder_widths": widths[:-1],
        "kernel": 3,
        "norm": "batch",
        "bias": False,
        "standardised": False,
        "heads": "last",
    }
    for name, value in fixed.items():
        if getattr(config, name) != value:
            return f"backbone gvt has {name} {value} alone; leave it out"
    if len(widths) < 2 or config.depth % step:
        return f"depth {config.depth} is not a multiple of {max(step, 2)}"
    return None


PaddingMode = Literal["edge", "reflect", "zeros"]


@dataclass(frozen=True)
class Padding:
    """How a stack is padded for a network: z to `depth`, y and x to `multiple`."""

    multiple: int  # y and x are padded to multiples of this
    # z likewise, where the network takes a stack of any depth at once; 1 where windows
    # move along z
    depth: int = 1
    mode: PaddingMode = "edge"  # zeros: of the scaled input
    # Half of it (rounded down) before, the rest behind; else all behind
    centred: bool = False

    def span(self, length: int, multiple: int) -> tuple[int, int]:
        """Return where a padded axis begins and ends; the image begins at 0."""
        more = -length % multiple
        first = -(more // 2) if self.centred else 0
        return first, length + more + first


PLANES_BYTES = 48 * 2**20
"""Of the planes of a feature, about, that ``gvt`` computes in one go."""

Count = Annotated[int, Field(ge=1, le=4096)]
Few = Annotated[int, Field(ge=1, le=64)]
Widths = Annotated[tuple[Count, ...], Field(min_length=1, max_length=9)]


class NetworkConfig(BaseModel):
    """Shape of a network; everything that its weights do not say.

    Where `inputs`, widths, blocks, `norm` or `bias` are left out, they are those of
    the family (`napari_sparsessp.networks.families.FAMILIES`), with the paper's
    widths: ``NetworkConfig(backbone="dod", topology="3to2d", conditioning="dodnet")``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: Literal[
        "slim", "dod", "plain", "fnet", "gvt",
        "resnet18", "swin_b", "vit_b", "vit_l", "dinov2_b", "fcmae", "unext2", "fnet3d",
    ] = "slim"  # fmt: skip
    topology: Topology = "3to2d"  # dimension of encoder and decoder
    # How D/r planes become D: interpolated before the network, by a learned
    # deconvolution after it, or as the channels of a 2D decoder.
    mapping: DepthMapping = "prefix"
    interpolation: Literal["hold", "nearest", "linear"] = "linear"  # of mapping prefix
    # Where depth is folded into channels or unfolded: a 1×1×1 convolution before
    # folding, a 1×1 one after it, or, as the released code has it, a task-gated k×k one
    # after it.
    projection: Literal["3d", "2d", "code"] = "3d"
    conditioning: Conditioning = "multihead"
    # Input channels: 1, the stack; 2, also the distance to the nearest measured plane.
    inputs: Few = 2
    outputs: Count = 12  # structures T
    depth: Annotated[int, Field(ge=1, le=1024)] = 32  # planes D of the dense window
    # The network takes D/ratio planes. 1 with a 3D encoder and a prefix mapping, which
    # serves any sparsity; 2D encoders may take the raw planes as channels.
    ratio: Few = 1
    # Channels of the encoder's levels from full resolution down, the last one the
    # bottleneck; of ``slim``, of its levels at 1/2, 1/4, …; of 2D backbones in 2-to-3D,
    # after depth is unfolded.
    encoder_widths: Widths = (32, 64, 128)
    # Residual blocks on each level (``dod``, ``slim``).
    encoder_blocks: Annotated[tuple[Few, ...], Field(max_length=9)] = (1, 2, 2)
    # Channels of the decoder's levels from full resolution down; one less than the
    # encoder has levels, of ``slim`` one more, or as many where the decoder is 3D and
    # ends at 1/2.
    decoder_widths: Annotated[tuple[Count, ...], Field(max_length=9)] = (
        96, 128, 192, 256,
    )  # fmt: skip
    folded_width: Count = 128  # channels U after depth is folded
    kernel: Literal[1, 3, 5, 7] = 3  # odd size of the convolutions
    norm: Literal["group", "batch", "instance", "none"] = "none"
    groups: Few = 16  # of group norm; fewer where they do not divide a width
    bias: bool = False  # convolutions before a norm have a bias
    # Weights are standardised in the forward pass (while training).
    standardised: bool = False
    head_width: Count = 8  # channels before a dynamic head or a deconvolution
    # Of ``multihead``: structures have their own last layer, or decoder.
    heads: Literal["last", "decoder"] = "last"
    # How ``condnet`` writes a structure's number.
    task_code: Literal["onehot", "hash", "learned"] = "onehot"
    # Where ``condnet`` adds it (``tgnet``: decoder or all).
    task_where: Literal["decoder", "input", "all"] = "decoder"
    # Deconvolution on the last feature, or on the prediction.
    postfix: Literal["feature", "output"] = "feature"
    # Patch size of a vision transformer; its own where left out.
    tokens: Annotated[int, Field(ge=2, le=64)] | None = None
    # Of ``fcmae`` and ``unext2``: voxels (z, y, x) that become a pixel, blocks on each
    # level of the decoder, whether its channels become voxels as they are or by a 3D
    # convolution of some width, whether these are averaged with those before them.
    stem: tuple[Few, Few, Few] = (5, 4, 4)
    decoder_blocks: Few = 2
    head_form: Literal["shuffle", "convolution"] = "shuffle"
    head_expansion: Few = 4
    head_pool: bool = True
    tiny: bool = False  # a 2D backbone with little of everything, for tests

    @model_validator(mode="before")
    @classmethod
    def _as_the_family_has_it(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        family = FAMILIES.get(str(values.get("backbone", "slim")))
        defaults: dict[str, Any] = {}
        if family:
            topology = str(values.get("topology", "3to2d"))
            defaults = {**family.defaults, **family.by_topology.get(topology, {})}
        if values.get("projection") == "code":
            # The released decoder is twice as wide as its encoder.
            defaults["decoder_widths"] = (64, 128, 256, 512)
        values = {**defaults, **values}
        if values.get("backbone") in UNEXT and "decoder_widths" not in values:
            with suppress(ArithmeticError, LookupError, TypeError, ValueError):
                values["decoder_widths"] = unext_decoder(values)
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> "NetworkConfig":
        if reason := why_not(self):
            raise ValueError(reason)
        return self

    @property
    def encoder_3d(self) -> bool:
        """Whether the encoder is 3D."""
        return self.topology.startswith("3")

    @property
    def decoder_3d(self) -> bool:
        """Whether the decoder is 3D."""
        return self.topology.endswith("3d")

    @property
    def planes(self) -> int:
        """Planes that the network takes."""
        return self.depth // self.ratio

    @property
    def decoded_planes(self) -> int:
        """Planes that the decoder writes: D, or D/r before a deconvolution."""
        return self.planes if self.mapping == "postfix" else self.depth

    def level_depths(self, planes: int) -> tuple[int, ...]:
        """Planes on each level: halved while even (models of SparseSSP, 2.2)."""
        depths = [planes]
        # The first level of slim is at half resolution already.
        for _ in self.encoder_widths[0 if self.backbone == "slim" else 1 :]:
            depths.append(depths[-1] // (1 if depths[-1] % 2 else 2))
        return tuple(depths)

    @property
    def stride(self) -> int:
        """Height and width must be multiples of this."""
        levels = len(self.encoder_widths)
        if self.backbone in UNEXT:
            return self.stem[2] * 2 ** (levels - 1)
        return 2**levels if self.backbone == "slim" else 2 ** (levels - 1)

    @property
    def padding(self) -> Padding:
        """How a stack is padded; published methods have padding of their own."""
        if self.backbone == "gvt":
            return Padding(self.stride, self.stride, "reflect", centred=True)
        if self.backbone == "fcmae":  # as VisCy counts its levels: 256 with a stem of 4
            halvings = len(self.encoder_widths) * (self.stem[2].bit_length() - 1)
            return Padding(2**halvings, mode="zeros", centred=True)
        if self.backbone == "unext2":
            return Padding(max(64, self.stride), mode="zeros", centred=True)
        return Padding(self.stride)

    @property
    def window_step(self) -> int | None:
        """Planes by which windows move along z, all weighing the same, as published.

        None where windows overlap by a share that the user may choose, and weigh less
        towards their ends.
        """
        return 1 if self.backbone in UNEXT else None

    @property
    def fast_step(self) -> int | None:
        """Planes by which windows may move so that three see each plane, not all D.

        None where nothing is won, or windows are free to overlap anyway.
        """
        wide = self.window_step is not None and self.depth >= 6
        return self.depth // 3 if wide else None

    @property
    def per_structure(self) -> bool:
        """Whether each structure costs a decoder, or a whole network, of its own."""
        shared = self.conditioning == "multihead" and self.heads == "last"
        return not shared and self.conditioning != "dodnet"

    @property
    def conditions_units(self) -> bool:
        """Whether units on the way know the structure, wherever `task_where`."""
        return self.conditioning in ("condnet", "tgnet")

    @property
    def sees_whole(self) -> bool:
        """Whether an output voxel depends on the statistics of all that is seen.

        Then a tile's prediction depends, a little, on where its borders are.
        """
        return (
            self.norm in ("group", "instance")
            or self.conditioning in ("dodnet", "tgnet", "tsn")
            or self.backbone in (*BACKBONES_2D, *UNEXT)
        )

    @property
    def attends(self) -> bool:
        """Whether a pass over a tile needs sums over the whole stack.

        ``Network.whole_sums``; with them, tiles change nothing.
        """
        return self.backbone == "gvt"

    @property
    def slow_in_half(self) -> bool:
        """Whether CPUs are slower in half precision.

        They are in large products, and in 3D convolutions.
        """
        return self.backbone in (*UNEXT, "fnet3d", "gvt")

    @property
    def reach(self) -> int:
        """Pixels in y and x that an output pixel can see in each direction.

        Along the deepest path; statistics (`sees_whole`, `attends`) left aside. In z
        likewise, where a stack is not cut in windows.
        """
        if self.backbone == "gvt":
            # First convolution, finest units and last convolution: 6. Right: a step
            # down looks two finer pixels and a coarser one ahead, units look two of
            # their own around; left: a step up looks a coarser pixel behind.
            return 3 * 2 ** len(self.encoder_widths) - 2
        if self.backbone == "slim":
            # Two 3×3 in each block, one coarse pixel in each linear step, and the
            # strided convolutions; a 3D decoder ends at half resolution, without one.
            reach, stride = (0 if self.decoder_3d else 2), 1
            for level, blocks in enumerate(self.encoder_blocks):
                reach += 2 if level == 0 else stride  # down to the next level
                stride *= 2
                linear = 0 if level == 0 and self.decoder_3d else 1
                reach += stride * (linear + 2 + 2 * blocks)
            return reach
        if self.backbone in UNEXT:
            return self._unext_reach()
        if self.backbone == "fnet3d":
            # Four 3×3 on each level, one to the next and back, and two on the last
            coarse = 2 ** (len(self.encoder_widths) - 1)
            return 2 + 7 * (coarse - 1) + 2 * coarse
        radius = self.kernel // 2
        coarsest = len(self.encoder_widths) - 1
        reach = radius  # the stem or the head
        for level in range(coarsest + 1):
            blocks = self.encoder_blocks[level] if self.backbone == "dod" else 1
            reach += 2 * radius * blocks * 2**level
            if level < coarsest:
                # The decoder's block; up by a linear step, or down and up by 2×2.
                reach += (2 * radius + 2) * 2**level
        if self.projection == "code" and self.topology == "3to2d":
            reach += radius * 2**coarsest
        return reach

    def _unext_reach(self) -> int:
        pixel = self.stem[2]
        # A pixel of the stem, or of the head's pooling; the 3×3 at half resolution
        reach = 2 * pixel + (2 if self.head_form == "convolution" else 0)
        for level, blocks in enumerate(self.encoder_blocks):
            decoder = self.decoder_blocks if level < len(self.encoder_blocks) - 1 else 0
            reach += pixel * 2**level * (1 + 3 * (blocks + decoder))
        return reach

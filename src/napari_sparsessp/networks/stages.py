"""The stages of a U-Net: encoder, change of dimension, decoder, head.

The change of dimension is that of SparseSSP, section 3.3, on every level.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.conditioning import (
    DynamicHead,
    ExpertConvolution,
    SkipAttention,
    Task,
    code_length,
)
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.layers import (
    ChannelToDepth,
    Convolution,
    DepthToChannel,
    TransposedConvolution,
    fold,
    unfold,
)
from napari_sparsessp.networks.units import Block, Unit, UnitKind, kind_of, make_norm

if TYPE_CHECKING:
    from napari_sparsessp.networks.backbones import Backbone2d


class GatedFold(Unit):
    """Fold depth, then a k×k unit that knows the structure: the released code's way."""

    def __init__(
        self, config: NetworkConfig, width: int, depth: int, outputs: int
    ) -> None:
        super().__init__(kind_of(config, 2, conditioned=True), width * depth, outputs)

    def forward(self, x: torch.Tensor, task: Task | None = None) -> torch.Tensor:
        return super().forward(fold(x), task)


class Transform(nn.Module):
    """One change of dimension for each level; none where there is nothing to change."""

    def __init__(self, levels: Sequence[nn.Module]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(
        self, features: list[torch.Tensor], task: Task | None = None
    ) -> list[torch.Tensor]:
        if not self.levels:
            return features
        return [
            level(x, task) if isinstance(level, Unit) else level(x)
            for level, x in zip(self.levels, features, strict=True)
        ]


def make_transform(
    config: NetworkConfig, widths: Sequence[int]
) -> tuple[Transform, tuple[int, ...]]:
    """Return the transform, and the channels of the features that the decoder gets."""
    if config.encoder_3d == config.decoder_3d:
        return Transform([]), tuple(widths)
    space, ws = config.projection, config.standardised
    if config.topology == "2to3d":
        depths = config.level_depths(config.decoded_planes)
        targets = config.encoder_widths
    else:
        depths = config.level_depths(config.planes)
        targets = (config.folded_width,) * len(widths)
    if config.projection == "code":
        # The bottleneck keeps what folding gave.
        targets = (*config.decoder_widths, widths[-1] * depths[-1])
        folds = zip(widths, depths, targets, strict=True)
        return Transform([GatedFold(config, *one) for one in folds]), targets
    if config.topology == "3to2d" and space == "2d" and config.backbone == "dod":
        # Straight to the widths that are added in the decoder.
        targets = (*config.decoder_widths[1:], *[config.folded_width] * 2)
    change = ChannelToDepth if config.topology == "2to3d" else DepthToChannel
    levels = [
        change(width, depth, target, space=space, standardised=ws)
        for width, depth, target in zip(widths, depths, targets, strict=True)
    ]
    return Transform(levels), targets


def level_strides(dimension: int, depths: Sequence[int]) -> list[tuple[int, ...]]:
    """Stride from each level to the next: 2 in y and x, and in z as planes are lost."""
    in_z = [above // below for above, below in pairwise(depths)]
    return [(2, 2) if dimension == 2 else (z, 2, 2) for z in in_z]


class PlainEncoder(nn.Module):
    """Two units on each level, a strided 2× unit between levels."""

    def __init__(self, kind: UnitKind, inputs: int, depths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = kind.config.encoder_widths
        before = (inputs, *self.widths)
        self.levels = nn.ModuleList(
            Block(kind, a, b) for a, b in zip(before, self.widths, strict=False)
        )
        steps = level_strides(kind.dimension, depths)
        plain = replace(kind, conditioning=None)
        self.downs = nn.ModuleList(
            Unit(plain, width, width, kernel=step, stride=step)
            for width, step in zip(self.widths, steps, strict=False)
        )

    def forward(self, x: torch.Tensor, task: Task | None = None) -> list[torch.Tensor]:
        features = []
        for level, block in enumerate(self.levels):
            x = block(x if level == 0 else self.downs[level - 1](x), task)
            features.append(x)
        return features


class ResidualEncoder(nn.Module):
    """A stem, residual blocks, the first of each level strided (``dod``)."""

    def __init__(self, kind: UnitKind, inputs: int, depths: tuple[int, ...]) -> None:
        super().__init__()
        config = kind.config
        self.widths = config.encoder_widths
        self.stem = Convolution(
            kind.dimension,
            inputs,
            self.widths[0],
            config.kernel,
            bias=kind.plain,
            standardised=config.standardised,
        )
        self.levels = nn.ModuleList()
        before = self.widths[0]
        steps: list[int | tuple[int, ...]] = [1]
        steps += level_strides(kind.dimension, depths)
        for width, blocks, step in zip(
            self.widths, config.encoder_blocks, steps, strict=True
        ):
            first = Block(kind, before, width, step)
            rest = [Block(kind, width, width) for _ in range(blocks - 1)]
            self.levels.append(nn.ModuleList([first, *rest]))
            before = width
        plain = replace(kind, conditioning=None)
        self.fusion = Unit(plain, before, before, kernel=1, gain=1.0)

    def forward(self, x: torch.Tensor, task: Task | None = None) -> list[torch.Tensor]:
        features = []
        x = self.stem(x)
        for blocks in self.levels:
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                x = block(x, task)
            features.append(x)
        features[-1] = self.fusion(x)
        return features


class Encoder2d(nn.Module):
    """One of the 2D backbones of Table 5, which take no notice of the structure."""

    def __init__(self, backbone: "Backbone2d") -> None:
        super().__init__()
        self.backbone = backbone
        self.widths = backbone.widths

    def forward(self, x: torch.Tensor, task: Task | None = None) -> list[torch.Tensor]:
        return list(self.backbone(x))


def make_encoder(
    kind: UnitKind, inputs: int
) -> PlainEncoder | ResidualEncoder | Encoder2d:
    """Encoder of a family; has ``widths``, the channels of its features."""
    config = kind.config
    depths = config.level_depths(config.planes)
    if config.backbone == "dod":
        return ResidualEncoder(kind, inputs, depths)
    if config.backbone in ("plain", "fnet"):
        return PlainEncoder(kind, inputs, depths)
    from napari_sparsessp.networks.backbones import build_backbone

    patch = config.tokens
    return Encoder2d(
        build_backbone(config.backbone, inputs, patch_size=patch, tiny=config.tiny)
    )


class Enlarge(nn.Module):
    """Linear interpolation to the size of the level above (``dod``)."""

    def __init__(self, step: tuple[int, ...]) -> None:
        super().__init__()
        self.step = tuple(float(s) for s in step)
        self.mode = "bilinear" if len(step) == 2 else "trilinear"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(
            x, scale_factor=self.step, mode=self.mode, align_corners=False
        )


class Decoder(nn.Module):
    """On each level: enlarge, merge the skip, one block.

    Skips are added where the family is residual (with a 1×1 convolution where widths
    differ), and concatenated in front otherwise. With TSN each feature first goes
    through a 1×1 unit of its own, with TGNet each skip through an attention.
    """

    def __init__(self, kind: UnitKind, widths: Sequence[int]) -> None:
        super().__init__()
        config = kind.config
        self.adds = kind.activated_first
        depths = config.level_depths(config.decoded_planes)
        steps = level_strides(kind.dimension, depths)
        below = (*config.decoder_widths[1:], widths[-1])
        self.ups, self.levels = nn.ModuleList(), nn.ModuleList()
        self.adapters = nn.ModuleList()
        self.attention = nn.ModuleList()
        for step, deep, skip, out in zip(
            steps, below, widths, config.decoder_widths, strict=False
        ):
            if self.adds:
                self.ups.append(Enlarge(step))
                self.levels.append(Block(kind, deep, out))
                adapter: nn.Module = nn.Identity()
                if skip != deep:
                    ws = config.standardised
                    adapter = Convolution(
                        kind.dimension, skip, deep, 1, standardised=ws
                    )
                self.adapters.append(adapter)
                skip, enlarged = deep, deep
            else:
                plain = replace(kind, conditioning=None)
                self.ups.append(Unit(plain, deep, out, stride=step, up=True))
                self.levels.append(Block(kind, skip + out, out))
                enlarged = out
            if kind.conditioning == "tgnet":
                self.attention.append(
                    SkipAttention(kind.dimension, skip, enlarged, code_length(config))
                )
        self.switches = nn.ModuleList(
            Unit(kind, width, width, kernel=1)
            for width in (widths if kind.conditioning == "tsn" else ())
        )

    def forward(
        self, features: Sequence[torch.Tensor], task: Task | None = None
    ) -> torch.Tensor:
        if self.switches:
            features = [
                switch(one, task)
                for switch, one in zip(self.switches, features, strict=True)
            ]
        x = features[-1]
        for level in range(len(self.levels) - 1, -1, -1):
            x = self.ups[level](x)
            skip = features[level]
            if self.adds:
                skip = self.adapters[level](skip)
            if self.attention:
                assert task is not None
                skip = self.attention[level](skip, x, task.code)
            x = skip + x if self.adds else torch.cat([skip, x], dim=1)
            x = self.levels[level](x, task)
        return x


class Head(nn.Module):
    """`prepare` is shared by the structures, `predict` returns some of them."""

    def __init__(self, kind: UnitKind, context: int, together: int) -> None:
        super().__init__()
        config, width = kind.config, kind.config.decoder_widths[0]
        self.flat = kind.dimension == 2
        self.planes = config.decoded_planes
        self.activated = not kind.activated_first
        self.norm: nn.Module = nn.Identity()
        if not self.activated:
            self.norm = make_norm(config, kind.dimension, width)
        self.dynamic: DynamicHead | None = None
        self.stretch: Stretch | None = None
        self.stretched: TransposedConvolution | None = None
        dimension, kernel = kind.dimension, config.kernel if self.activated else 1
        planes = self.planes if self.flat else 1
        if config.mapping == "postfix" and config.postfix == "feature":
            self.stretch = Stretch(kind, width)
            # From here on depth is depth again.
            dimension, kernel, width, planes = 3, 1, config.head_width, 1
            self.flat = False
        elif config.mapping == "postfix":
            ratio = (config.ratio, 1, 1)
            self.stretched = TransposedConvolution(3, 1, 1, ratio)
        self.before: Convolution | None = None
        self.conv: nn.Module | None = None
        if config.conditioning in ("dodnet", "tgnet"):
            if self.stretch is None:
                self.before = Convolution(dimension, width, config.head_width, kernel=1)
            self.dynamic = DynamicHead(
                context, config.outputs, config.head_width, planes
            )
        elif config.conditioning == "repmode" and kernel > 1:
            self.conv = ExpertConvolution(
                dimension, width, planes, kernel, config.outputs
            )
        else:
            bias = config.backbone != "plain" or kind.plain
            self.conv = Convolution(
                dimension, width, together * planes, kernel, bias=bias, gain=0.3
            )

    def prepare(self, x: torch.Tensor) -> torch.Tensor:
        """Do what all structures share."""
        if not self.activated:
            x = F.relu(self.norm(x))
        if self.stretch is not None:
            x = self.stretch(x)
        return x if self.before is None else self.before(x)

    def predict(
        self,
        x: torch.Tensor,
        context: torch.Tensor | None,
        tasks: Sequence[Task] | None = None,
        rows: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Predict structures (B, S, D, H, W) from the result of `prepare`.

        `context` is the pooled bottleneck (B, C), for dynamic heads; `tasks` the
        structure of each sample, once for each wanted output; `rows` the wanted outputs
        of a head for all structures.
        """
        if self.dynamic is not None:
            assert tasks is not None
            assert context is not None
            y = self.dynamic(x, context, [task.index for task in tasks])
        elif isinstance(self.conv, ExpertConvolution):
            assert tasks is not None
            y = torch.cat([self.conv(x, task) for task in tasks], dim=1)
        else:
            y = self._chosen(x, rows)
        y = unfold(y, self.planes) if self.flat else y
        if self.stretched is not None:
            flat = y.flatten(0, 1)[:, None]
            y = self.stretched(flat).unflatten(0, y.shape[:2])[:, :, 0]
        return y

    def _chosen(self, x: torch.Tensor, rows: Sequence[int] | None) -> torch.Tensor:
        conv = self.conv
        assert isinstance(conv, Convolution)
        if rows is None:
            return conv(x)
        size = self.planes if self.flat else 1
        index = torch.tensor(
            [row * size + plane for row in rows for plane in range(size)],
            device=x.device,
        )
        bias = None if conv.bias is None else conv.bias[index]
        return conv.convolved(x, conv.weight[index], bias)


class Stretch(nn.Module):
    """Postfix mapping on the feature: a learned deconvolution along z.

    A 1×1 convolution to F channels (times D/r where the decoder is 2D, then unfolded),
    a transposed convolution with kernel and stride (r, 1, 1), norm and activation.
    """

    def __init__(self, kind: UnitKind, width: int) -> None:
        super().__init__()
        config = kind.config
        self.planes = config.planes if kind.dimension == 2 else None
        channels = config.head_width
        self.narrow = Convolution(
            kind.dimension, width, channels * (self.planes or 1), kernel=1
        )
        self.deconv = TransposedConvolution(3, channels, channels, (config.ratio, 1, 1))
        self.norm = make_norm(config, 3, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.narrow(x)
        if self.planes is not None:
            x = unfold(x, self.planes)
        return F.relu(self.norm(self.deconv(x)))

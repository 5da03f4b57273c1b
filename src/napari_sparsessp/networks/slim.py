"""The slim family: one trunk and one head for all structures, in four topologies."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.layers import (
    ChannelToDepth,
    Convolution,
    DepthToChannel,
    fold,
    unfold,
)
from napari_sparsessp.networks.network import Network, View


class SlimBlock(nn.Module):
    """x + Conv(ReLU(Conv(ReLU(x)))), without a norm."""

    def __init__(self, dimension: int, width: int, *, standardised: bool) -> None:
        super().__init__()
        shape, ws = (dimension, width, width), standardised
        self.conv1 = Convolution(*shape, standardised=ws, gain=1.4)
        self.conv2 = Convolution(*shape, standardised=ws, gain=0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


def make_skip(
    config: NetworkConfig, width: int, depth: int, target: int
) -> Convolution | ChannelToDepth | nn.Sequential:
    """Make the skip from a feature of the encoder to the decoder."""
    ws, space = config.standardised, config.projection
    if config.encoder_3d == config.decoder_3d:
        dimension = 3 if config.decoder_3d else 2
        return Convolution(dimension, width, target, kernel=1, standardised=ws)
    if config.decoder_3d:
        return ChannelToDepth(width, depth, target, space=space, standardised=ws)
    folded = depth * max(1, config.folded_width // depth)
    return nn.Sequential(
        DepthToChannel(width, depth, folded, space=space, standardised=ws),
        Convolution(2, folded, target, kernel=1, standardised=ws),
    )


class Detail(nn.Module):
    """All 2×2×2 voxels of what the network sees, as channels at half resolution.

    A convolution of that size and stride, so that the 3D decoder's finest level, from
    which sub-voxels are predicted, has them whatever the encoder keeps.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        ws, width = config.standardised, config.decoder_widths[0]
        self.depth = None if config.encoder_3d else config.depth // 2
        inputs = config.inputs
        if self.depth is None:
            self.convolution = Convolution(3, inputs, width, 2, 2, standardised=ws)
        else:
            inputs, width = inputs * config.planes, width * self.depth
            self.convolution = Convolution(2, inputs, width, 2, 2, standardised=ws)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.convolution(x)
        return x if self.depth is None else unfold(x, self.depth)


class PlaneHead(Convolution):
    """1×1 convolution to the planes of all outputs, or of some."""

    def __init__(self, width: int, outputs: int, depth: int) -> None:
        super().__init__(2, width, outputs * depth, kernel=1, gain=0.3)
        self.share = depth

    def forward(
        self, x: torch.Tensor, rows: Sequence[int] | None = None
    ) -> torch.Tensor:
        weight, bias = self.chosen(rows)
        kernel, pixels = weight.flatten(1), x.flatten(2)
        # A product, so that the result has its pixels last in memory, as a prediction
        # is read, whatever layout x has. `addmm` is the faster one of the two.
        y = (
            torch.addmm(bias[:, None], kernel, pixels[0])[None]
            if len(x) == 1
            else torch.baddbmm(bias[:, None], kernel.expand(len(x), -1, -1), pixels)
        )
        return self.arranged(y.unflatten(2, x.shape[2:]))

    def chosen(self, rows: Sequence[int] | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias of some outputs, of all where none are named."""
        weight, bias = self.weight, self.bias
        assert bias is not None
        if rows is None:
            return weight, bias
        index = torch.tensor(rows, device=weight.device)
        return (
            weight.unflatten(0, (-1, self.share))[index].flatten(0, 1),
            bias.unflatten(0, (-1, self.share))[index].flatten(),
        )

    def arranged(self, y: torch.Tensor) -> torch.Tensor:
        """(B, S·D, H, W) → (B, S, D, H, W)."""
        return y.unflatten(1, (-1, self.share))


class VoxelHead(PlaneHead):
    """1×1×1 convolution from half resolution to the 2×2×2 sub-voxels of all outputs.

    An output's sub-voxels start as equals (ICNR, Aitken et al. 2017, arXiv
    1707.02937), so that there is no checkerboard that training would have to remove.
    """

    def __init__(self, width: int, outputs: int) -> None:
        Convolution.__init__(self, 3, width, outputs * 8, kernel=1, gain=0.3)
        self.share = 8
        with torch.no_grad():
            first = self.weight[:: self.share].clone()
            self.weight.copy_(first.repeat_interleave(self.share, 0))

    def arranged(self, y: torch.Tensor) -> torch.Tensor:
        """(B, S·8, D/2, H/2, W/2) → (B, S, D, H, W)."""
        y = y.unflatten(1, (-1, 2, 2, 2)).permute(0, 1, 5, 2, 6, 3, 7, 4)
        return y.flatten(6, 7).flatten(4, 5).flatten(2, 3)


UP = {2: "bilinear", 3: "trilinear"}


class Slim(Network):
    """Network with one trunk and one head for all structures.

    Nothing 3D is computed at full resolution (it would cost more than all the rest).
    A 2D decoder has the planes as channels there. A 3D one ends at half resolution,
    where it sees all voxels of the input as channels, and predicts sub-voxels. The
    encoder works from half resolution down; a 3D one has strides of 2 in z, y and x.
    Nothing depends on the size of the image.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        ws = config.standardised
        wide, widths = (3 if config.decoder_3d else 2), config.decoder_widths
        deep = 3 if config.encoder_3d else 2
        self.view = View(config)
        planes = config.inputs * config.planes
        if config.decoder_3d:
            self.detail = Detail(config)
            targets = widths
        else:
            self.plane_stem = Convolution(2, planes, widths[0], standardised=ws)
            targets = widths[1:]
        self.down = nn.ModuleList()
        self.encoder = nn.ModuleList()
        self.skips = nn.ModuleList()
        before, depth = (config.inputs if config.encoder_3d else planes), config.depth
        kernel = 4
        if config.topology == "2d":
            before, kernel = widths[0], 2  # from the stem, which has looked around
        for width, blocks, target in zip(
            config.encoder_widths, config.encoder_blocks, targets, strict=True
        ):
            depth //= 2
            self.down.append(
                Convolution(deep, before, width, kernel, 2, standardised=ws)
            )
            self.encoder.append(
                nn.Sequential(
                    *[SlimBlock(deep, width, standardised=ws) for _ in range(blocks)]
                )
            )
            self.skips.append(make_skip(config, width, depth, target))
            before, kernel = width, 2
        self.up = nn.ModuleList(
            Convolution(wide, coarse, fine, kernel=1, standardised=ws)
            for fine, coarse in zip(widths[:-1], widths[1:], strict=True)
        )
        self.decoder = nn.ModuleList(
            SlimBlock(wide, width, standardised=ws) for width in widths
        )
        self.head = (
            VoxelHead(widths[0], config.outputs)
            if config.decoder_3d
            else PlaneHead(widths[0], config.outputs, config.depth)
        )

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.view(x)
        config = self.config
        features = []
        if config.decoder_3d:
            detail = self.detail(x)
        else:
            features.append(self.plane_stem(fold(x) if config.encoder_3d else x))
        if config.topology == "2d":
            x = F.relu(features[0])
        for down, blocks, skip in zip(self.down, self.encoder, self.skips, strict=True):
            x = blocks(down(x))
            features.append(skip(F.relu(x)))
        if config.decoder_3d:
            features[0] = features[0] + detail
        return features

    def decode(
        self, features: list[torch.Tensor], structures: Sequence[int] | None = None
    ) -> torch.Tensor:
        rows = None if structures is None else self.wanted(structures)
        y = self.decoder[-1](features[-1])
        for level in range(len(self.up) - 1, -1, -1):
            coarse = self.up[level](F.relu(y))
            y = features[level] + F.interpolate(
                coarse, scale_factor=2, mode=UP[coarse.ndim - 2], align_corners=False
            )
            y = self.decoder[level](y)
        return self.head(F.relu(y), rows)

    def decode_tasks(
        self, features: list[torch.Tensor], index: torch.Tensor
    ) -> torch.Tensor:
        y = self.decode(features)
        return y[torch.arange(len(y)), index][:, None]

"""The slim family: one trunk and one head for all structures, in four topologies."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.convolution import Convolution
from napari_sparsessp.networks.fold import fold
from napari_sparsessp.networks.network import Network
from napari_sparsessp.networks.slim_parts import (
    Detail,
    PlaneHead,
    SlimBlock,
    VoxelHead,
    make_skip,
)
from napari_sparsessp.networks.view import View

UP = {2: "bilinear", 3: "trilinear"}


class Slim(Network):
    """Network with one trunk and one head for all structures.

    Nothing 3D is computed at full resolution (it would cost more than all the rest).
    A 2D decoder has the planes as channels there. A 3D one ends at half resolution,
    where it sees all voxels of the input as channels, and predicts sub-voxels. The
    encoder works from half resolution down; a 3D one has strides of 2 in z, y and x.
    Nothing depends on the size of the image.

    Parameters
    ----------
    config : NetworkConfig
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

"""The slim 3-to-2D network: a 3D encoder, depth folded on every level, a 2D decoder."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.convolution import Convolution
from napari_sparsessp.networks.fold import fold, unfold
from napari_sparsessp.networks.network import Network
from napari_sparsessp.networks.transform import DepthToChannel
from napari_sparsessp.networks.view import View


class SlimBlock(nn.Module):
    """x + Conv(ReLU(Conv(ReLU(x)))), without a norm.

    Parameters
    ----------
    dimension : {2, 3}
    width : int
        Channels in and out.
    standardised : bool
    """

    def __init__(self, dimension: int, width: int, *, standardised: bool) -> None:
        super().__init__()
        self.conv1 = Convolution(
            dimension, width, width, standardised=standardised, gain=1.4
        )
        self.conv2 = Convolution(
            dimension, width, width, standardised=standardised, gain=0.3
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class Slim(Network):
    """3-to-2D network with one trunk and one head for all structures.

    At full resolution the planes are channels from the start (a 3D convolution there
    would cost more than all the rest); below, the encoder is 3D with strides of 2 in
    z, y and x. Nothing in it depends on the size of the image.

    Parameters
    ----------
    config : NetworkConfig
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        ws = config.standardised
        self.view = View(config)
        full, *lower = config.decoder_widths
        self.plane_stem = Convolution(
            2, config.inputs * config.depth, full, standardised=ws
        )
        self.down = nn.ModuleList()
        self.encoder = nn.ModuleList()
        self.skips = nn.ModuleList()
        before, depth = config.inputs, config.depth
        for level, (width, blocks, target) in enumerate(
            zip(config.encoder_widths, config.encoder_blocks, lower, strict=True)
        ):
            depth //= 2
            kernel = 4 if level == 0 else 2
            self.down.append(Convolution(3, before, width, kernel, 2, standardised=ws))
            self.encoder.append(
                nn.Sequential(
                    *[SlimBlock(3, width, standardised=ws) for _ in range(blocks)]
                )
            )
            folded = depth * max(1, config.folded_width // depth)
            self.skips.append(
                nn.Sequential(
                    DepthToChannel(width, depth, folded, standardised=ws),
                    Convolution(2, folded, target, kernel=1, standardised=ws),
                )
            )
            before = width
        self.up = nn.ModuleList(
            Convolution(2, deep, shallow, kernel=1, standardised=ws)
            for shallow, deep in zip(
                config.decoder_widths[:-1], config.decoder_widths[1:], strict=True
            )
        )
        self.decoder = nn.ModuleList(
            SlimBlock(2, width, standardised=ws) for width in config.decoder_widths
        )
        self.head = Convolution(
            2, full, config.outputs * config.depth, kernel=1, gain=0.3
        )

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.view(x)
        features = [self.plane_stem(fold(x))]
        for down, blocks, skip in zip(self.down, self.encoder, self.skips, strict=True):
            x = blocks(down(x))
            features.append(skip(F.relu(x)))
        return features

    def decode(
        self, features: list[torch.Tensor], structures: Sequence[int] | None = None
    ) -> torch.Tensor:
        y = self.decoder[-1](features[-1])
        for level in range(len(self.up) - 1, -1, -1):
            coarse = self.up[level](F.relu(y))
            y = features[level] + F.interpolate(
                coarse, scale_factor=2, mode="bilinear", align_corners=False
            )
            y = self.decoder[level](y)
        return self._predict(F.relu(y), structures)

    def _predict(
        self, y: torch.Tensor, structures: Sequence[int] | None
    ) -> torch.Tensor:
        depth = self.config.depth
        weight, bias = self.head.weight, self.head.bias
        assert bias is not None
        if structures is not None:
            rows = torch.tensor(self.wanted(structures), device=y.device)
            weight = weight.unflatten(0, (-1, depth))[rows].flatten(0, 1)
            bias = bias.unflatten(0, (-1, depth))[rows].flatten()
        return unfold(F.conv2d(y, weight, bias), depth)

    def decode_tasks(
        self, features: list[torch.Tensor], index: torch.Tensor
    ) -> torch.Tensor:
        y = self.decode(features)
        return y[torch.arange(len(y)), index][:, None]

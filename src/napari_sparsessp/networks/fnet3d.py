"""The 3D U-Net with which VisCy's DynaCell benchmark stands for FNet.

After Ounkomol et al. 2018, but not their network: a convolution goes before the first
level, convolutions with a stride double the width, and the feature that comes up stands
before the skip.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.layers import Convolution
from napari_sparsessp.networks.network import Network, View


class NormedPair(nn.Module):
    """Twice 3×3×3, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [Convolution(3, inputs, outputs), Convolution(3, outputs, outputs)]
        )
        self.norms = nn.ModuleList(nn.BatchNorm3d(outputs) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.relu(norm(convolution(x)))
        return x


class FNet3D(Network):
    """Convolutions at 1, 1/2, … of the resolution, in z as in y and x."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.view = View(config)
        widths = config.encoder_widths
        steps = list(zip(widths, widths[1:], strict=False))
        self.first = Convolution(3, config.inputs, widths[0])
        self.encoder = nn.ModuleList(NormedPair(width, width) for width in widths)
        self.downs = nn.ModuleList(
            Convolution(3, fine, coarse, stride=2) for fine, coarse in steps
        )
        self.ups = nn.ModuleList(
            nn.ConvTranspose3d(coarse, fine, 3, 2, padding=1, output_padding=1)
            for fine, coarse in steps
        )
        self.decoder = nn.ModuleList(NormedPair(2 * fine, fine) for fine, _ in steps)
        self.head = Convolution(3, widths[0], config.outputs)

    def encode(self, x: torch.Tensor) -> list[torch.Tensor]:
        features = [self.encoder[0](self.first(self.view(x)))]
        for down, level in zip(self.downs, self.encoder[1:], strict=True):
            features.append(level(down(features[-1])))
        return features

    def decode(
        self, features: list[torch.Tensor], structures: Sequence[int] | None = None
    ) -> torch.Tensor:
        rows = self.wanted(structures)
        y = features[-1]
        for level in range(len(self.ups) - 1, -1, -1):
            y = torch.cat([self.ups[level](y), features[level]], 1)
            y = self.decoder[level](y)
        if len(rows) == self.config.outputs and rows == sorted(rows):
            return self.head(y)  # type: ignore[no-any-return]
        assert self.head.bias is not None
        return self.head.convolved(y, self.head.weight[rows], self.head.bias[rows])

    def decode_tasks(
        self, features: list[torch.Tensor], index: torch.Tensor
    ) -> torch.Tensor:
        y = self.decode(features)
        return y[torch.arange(len(y)), index][:, None]

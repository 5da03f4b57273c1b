"""A network that takes measured planes and nothing else, for other programs."""

import torch
from torch import nn

from napari_sparsessp.networks.layers import network_input
from napari_sparsessp.networks.network import Network
from napari_sparsessp.networks.unet import MultiNet, UNet, merge


class Standalone(nn.Module):
    """Make a network's input from one channel of measured planes, and run it.

    (1, 1, n, H, W), scaled, → (1, S, D, H, W). A prefix mapping interpolates to
    D = n·ratio planes, `ratio` a whole number; a second input channel, the distance to
    the nearest measured plane, is built here. `flatten`, ``mean`` or ``max``, makes one
    plane of the D. Sizes are those of the input also in a trace.
    """

    offset: torch.Tensor  # of a dense plane above the measured plane below it
    nearest: torch.Tensor  # of a dense plane above the nearest measured one

    def __init__(self, network: Network, ratio: int, flatten: str = "none") -> None:
        super().__init__()
        config = network.config
        self.network: nn.Module = network
        if isinstance(network, UNet) and config.conditioning == "repmode":
            self.network = _MergedForAll(network)
        self.ratio = ratio if config.mapping == "prefix" else 1
        self.interpolation = config.interpolation
        self.with_distance = config.inputs > 1
        self.flatten = flatten
        offset = torch.arange(self.ratio, dtype=torch.float32)
        # Buffers, so that they move to a device with the weights.
        self.register_buffer("offset", offset)
        self.register_buffer(
            "nearest", torch.where(2 * offset > self.ratio, offset - self.ratio, offset)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        planes = x[:, 0]
        # Of the planes' number, which a trace would keep as a constant
        zeros = torch.zeros_like(planes[0, :, 0, 0])[:, None]
        dense = planes if self.ratio == 1 else self._interpolated(planes, zeros)
        if self.with_distance:
            # After the last measured plane none is nearer.
            rows = [zeros[:-1] + self.nearest, zeros[-1:] + self.offset]
            source = network_input(dense, torch.cat(rows).flatten())
        else:
            source = dense[:, None]
        y = self.network(source)
        if self.flatten == "none":
            return y
        return y.mean(2, True) if self.flatten == "mean" else y.amax(2, True)

    def _interpolated(self, planes: torch.Tensor, zeros: torch.Tensor) -> torch.Tensor:
        lower = planes.repeat_interleave(self.ratio, 1)
        if self.interpolation == "hold":
            return lower
        upper = torch.cat([planes[:, 1:], planes[:, -1:]], 1)
        upper = upper.repeat_interleave(self.ratio, 1)
        share = (zeros + self.offset / self.ratio).flatten()[:, None, None]
        if self.interpolation == "nearest":
            return torch.where(share > 0.5, upper, lower)
        return lower + share * (upper - lower)


class _MergedForAll(MultiNet):
    """RepMode as one plain network for each structure."""

    def __init__(self, network: UNet) -> None:
        nn.Module.__init__(self)
        self.config = network.config
        twins = [merge(network, task) for task in range(network.config.outputs)]
        self.networks = nn.ModuleList(twins)

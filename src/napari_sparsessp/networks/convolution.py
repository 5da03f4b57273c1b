"""Convolutions in two or three dimensions, with standardised weights on demand."""

import torch
import torch.nn.functional as F
from torch import nn

_CONVOLVE = {2: F.conv2d, 3: F.conv3d}


class Convolution(nn.Module):
    """Convolution whose number of dimensions is a value.

    While `standardised`, each filter is used with mean 0 and variance 1/fan_in times
    a learned gain (weight standardisation, Qiao et al. 2019, arXiv 1903.10520; scaled
    as in Brock et al. 2021, arXiv 2101.08692). It needs no statistics of the image,
    so that a tile and the whole give the same numbers, and `bake` folds it into plain
    weights.

    Parameters
    ----------
    dimension : {2, 3}
    inputs, outputs : int
        Channels.
    kernel, stride : int
    standardised : bool
    gain : float
        Start of the learned gain.
    """

    def __init__(
        self,
        dimension: int,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        standardised: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.dimension = dimension
        self.stride = stride
        self.padding = (kernel - 1) // 2 if stride == 1 else (kernel - stride) // 2
        self.weight = nn.Parameter(torch.empty(outputs, inputs, *[kernel] * dimension))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.normal_(self.weight, std=(inputs * kernel**dimension) ** -0.5)
        self.gain = nn.Parameter(torch.full((outputs,), gain)) if standardised else None
        if not standardised:
            with torch.no_grad():
                self.weight.mul_(gain)

    def effective_weight(self) -> torch.Tensor:
        """The weight as it is used."""
        if self.gain is None:
            return self.weight
        flat = self.weight.flatten(1)
        centred = flat - flat.mean(1, keepdim=True)
        scale = torch.rsqrt(centred.square().sum(1, keepdim=True) + 1e-8)
        return (centred * scale * self.gain[:, None]).view_as(self.weight)

    @torch.no_grad()
    def bake(self) -> None:
        """Fold the standardisation into the weight; the output stays the same."""
        self.weight.copy_(self.effective_weight())
        self.gain = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        convolve = _CONVOLVE[self.dimension]
        return convolve(
            x, self.effective_weight(), self.bias, self.stride, self.padding
        )


class ResidualBlock(nn.Module):
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

"""What all backbones share: five features, from full resolution down to 1/16."""

from math import gcd
from typing import Any, Literal

import torch
from torch import nn

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks.backbones.catalogue import STRIDE, BackboneSpec

Norm = Literal["batch", "group"]


def norm_layer(norm: Norm, width: int) -> nn.Module:
    """Batch norm, or group norm with up to 8 groups."""
    if norm == "batch":
        return nn.BatchNorm2d(width)
    return nn.GroupNorm(gcd(8, width), width)


class Stem(nn.Sequential):
    """3×3 convolution, norm, activation: levels finer than the trunk begins with.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    stride : int
    norm : {"batch", "group"}
    """

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            norm_layer(norm, outputs),
            nn.ReLU() if norm == "batch" else nn.GELU(),
        )


class Upsampling(nn.Sequential):
    """2×2 transposed convolutions with stride 2, each with norm and activation.

    Parameters
    ----------
    inputs, outputs : int
        Channels; halved in each step before the last.
    steps : int
        How often height and width are doubled; at least 1.
    """

    def __init__(self, inputs: int, outputs: int, steps: int) -> None:
        layers: list[nn.Module] = []
        for step in range(steps):
            width = outputs if step == steps - 1 else max(outputs, inputs // 2)
            layers += [
                nn.ConvTranspose2d(inputs, width, 2, stride=2, bias=False),
                norm_layer("group", width),
                nn.GELU(),
            ]
            inputs = width
        super().__init__(*layers)


class Backbone2d(nn.Module):
    """A 2D encoder: (B, channels, H, W) → five features at strides 1, 2, 4, 8, 16.

    Parameters
    ----------
    name : str
    spec : BackboneSpec
    channels : int
        Input channels, for example the planes of a stack.

    Attributes
    ----------
    trunk : Module
        The published network; the rest adapts it.
    widths : tuple of int
        Channels of the five features.
    stride : int
        Height and width must be multiples of this.
    sees_whole : bool
        A tile's features depend on the tile, not only on the pixels nearby.
    """

    trunk: Any  # a module of the library, whose parts mypy cannot see
    stride = STRIDE

    def __init__(self, name: str, spec: BackboneSpec, channels: int) -> None:
        super().__init__()
        self.name = name
        self.channels = channels
        self.widths = spec.widths
        self.sees_whole = spec.sees_whole

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise InputError(
                f"backbone {self.name} takes (B, {self.channels}, H, W), not "
                f"{tuple(x.shape)}; choose as many channels as the images have"
            )
        height, width = x.shape[-2:]
        if min(height, width) < STRIDE or height % STRIDE or width % STRIDE:
            raise InputError(
                f"backbone {self.name} needs height and width in multiples of "
                f"{STRIDE}, not {height} × {width}; pad the images"
            )
        return self.features(x)

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The five features of an input whose shape has been checked."""
        raise NotImplementedError

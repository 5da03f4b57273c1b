"""Encoders: from the network's view to one feature a level."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_sparsessp.networks.conditioning.task import Task
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.convolution import Convolution, whole_step
from napari_sparsessp.networks.units import PlainBlock, ResidualBlock, Unit, UnitKind

if TYPE_CHECKING:
    from napari_sparsessp.networks.backbones import Backbone2d


def z_strides(depths: tuple[int, ...]) -> tuple[int, ...]:
    """Stride in z from each level to the next."""
    return tuple(a // b for a, b in zip(depths, depths[1:], strict=False))


class PlainEncoder(nn.Module):
    """Two units on each level, a strided 2× unit between levels.

    Parameters
    ----------
    config : NetworkConfig
    kind : UnitKind
    inputs : int
        Channels of the view.
    depths : tuple of int
        Planes on each level.
    """

    def __init__(
        self,
        config: NetworkConfig,
        kind: UnitKind,
        inputs: int,
        depths: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.widths = config.encoder_widths
        before = (inputs, *self.widths)
        self.levels = nn.ModuleList(
            PlainBlock(kind, a, b) for a, b in zip(before, self.widths, strict=False)
        )
        steps = [whole_step(kind.dimension, z) for z in z_strides(depths)]
        self.downs = nn.ModuleList(
            Unit(kind.task_free, width, width, kernel=step, stride=step)
            for width, step in zip(self.widths, steps, strict=False)
        )

    def forward(self, x: torch.Tensor, task: Task | None = None) -> list[torch.Tensor]:
        features = []
        for level, block in enumerate(self.levels):
            x = block(x if level == 0 else self.downs[level - 1](x), task)
            features.append(x)
        return features


class ResidualEncoder(nn.Module):
    """A stem, residual blocks, the first of each level strided (``dod``).

    Parameters
    ----------
    config : NetworkConfig
    kind : UnitKind
    inputs : int
        Channels of the view.
    depths : tuple of int
        Planes on each level.
    """

    def __init__(
        self,
        config: NetworkConfig,
        kind: UnitKind,
        inputs: int,
        depths: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.widths = config.encoder_widths
        self.stem = Convolution(
            kind.dimension,
            inputs,
            self.widths[0],
            kind.kernel,
            bias=kind.plain,
            standardised=kind.standardised,
        )
        self.levels = nn.ModuleList()
        before = self.widths[0]
        steps: list[int | tuple[int, ...]] = [1]
        steps += (whole_step(kind.dimension, z) for z in z_strides(depths))
        for width, blocks, step in zip(
            self.widths, config.encoder_blocks, steps, strict=True
        ):
            first = ResidualBlock(kind, before, width, step)
            rest = [ResidualBlock(kind, width, width) for _ in range(blocks - 1)]
            self.levels.append(nn.ModuleList([first, *rest]))
            before = width
        self.fusion = Unit(kind.task_free, before, before, kernel=1, gain=1.0)

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
    """One of the 2D backbones of Table 5, which take no notice of the structure.

    Parameters
    ----------
    backbone : Backbone2d
        Gives five features at strides 1 to 16.
    """

    def __init__(self, backbone: "Backbone2d") -> None:
        super().__init__()
        self.backbone = backbone
        self.widths = backbone.widths

    def forward(self, x: torch.Tensor, task: Task | None = None) -> list[torch.Tensor]:
        return list(self.backbone(x))


def make_encoder(
    config: NetworkConfig,
    kind: UnitKind,
    inputs: int,
    depths: tuple[int, ...],
    backbone_weights: Mapping[str, torch.Tensor] | None = None,
) -> PlainEncoder | ResidualEncoder | Encoder2d:
    """Encoder of a family; has ``widths``, the channels of its features."""
    if config.backbone == "dod":
        return ResidualEncoder(config, kind, inputs, depths)
    if config.backbone in ("plain", "fnet"):
        return PlainEncoder(config, kind, inputs, depths)
    from napari_sparsessp.networks.backbones import build_backbone

    return Encoder2d(
        build_backbone(
            config.backbone,
            inputs,
            patch_size=config.tokens,
            weights=backbone_weights,
            tiny=config.tiny,
        )
    )

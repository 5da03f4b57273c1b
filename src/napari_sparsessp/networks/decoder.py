"""Decoders: from the features of all levels back to full resolution."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.conditioning.task import Task
from napari_sparsessp.networks.conditioning.tgnet import SkipAttention
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.convolution import Convolution, whole_step
from napari_sparsessp.networks.encoder import z_strides
from napari_sparsessp.networks.units import PlainBlock, ResidualBlock, Unit, UnitKind


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

    Parameters
    ----------
    config : NetworkConfig
    kind : UnitKind
    widths : sequence of int
        Channels of the features from full resolution down to the bottleneck.
    depths : tuple of int
        Planes on each level.
    """

    def __init__(
        self,
        config: NetworkConfig,
        kind: UnitKind,
        widths: Sequence[int],
        depths: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.adds = config.backbone == "dod"
        steps = [whole_step(kind.dimension, z) for z in z_strides(depths)]
        below = (*config.decoder_widths[1:], widths[-1])
        self.ups, self.levels = nn.ModuleList(), nn.ModuleList()
        self.adapters = nn.ModuleList()
        self.attention = nn.ModuleList()
        for step, deep, skip, out in zip(
            steps, below, widths, config.decoder_widths, strict=False
        ):
            if self.adds:
                self.ups.append(Enlarge(step))
                self.levels.append(ResidualBlock(kind, deep, out))
                self.adapters.append(_adapter(kind, skip, deep))
                skip, enlarged = deep, deep
            else:
                up = Unit(kind.task_free, deep, out, stride=step, up=True)
                self.ups.append(up)
                self.levels.append(PlainBlock(kind, skip + out, out))
                enlarged = out
            if kind.told == "tgnet":
                self.attention.append(
                    SkipAttention(kind.dimension, skip, enlarged, kind.code)
                )
        self.switches = nn.ModuleList(
            Unit(kind, width, width, kernel=1)
            for width in (widths if kind.told == "tsn" else ())
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


def _adapter(kind: UnitKind, width: int, wanted: int) -> nn.Module:
    if width == wanted:
        return nn.Identity()
    return Convolution(
        kind.dimension, width, wanted, kernel=1, standardised=kind.standardised
    )

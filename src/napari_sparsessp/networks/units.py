"""Convolution, norm, activation: the unit of which encoders and decoders are made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.conditioning import (
    AdaptiveNorm,
    ChannelGate,
    ConditionBias,
    ExpertConvolution,
    Task,
    code_length,
)
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.layers import Convolution, TransposedConvolution

_NORMS: dict[str, dict[int, type[nn.Module]]] = {
    "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
    "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
}


@dataclass(frozen=True)
class UnitKind:
    """Kind of the units in one part of a network."""

    config: NetworkConfig
    dimension: int
    # How the units know the structure: ``condnet``, ``tgnet``, ``tsn``, ``repmode``.
    conditioning: str | None = None

    @property
    def activated_first(self) -> bool:
        """Whether norm and activation come before the convolution (``dod``)."""
        return self.config.backbone == "dod"

    @property
    def plain(self) -> bool:
        """Whether convolutions need a bias because no norm shifts their output."""
        return self.config.bias or self.config.norm == "none"


def kind_of(config: NetworkConfig, dimension: int, *, conditioned: bool) -> UnitKind:
    """Kind of the units in a network's encoder or decoder."""
    adapts = config.conditioning in ("condnet", "tgnet", "tsn", "repmode")
    method = config.conditioning if conditioned and adapts else None
    return UnitKind(config, dimension, method)


def make_norm(config: NetworkConfig, dimension: int, width: int) -> nn.Module:
    """Norm layer of a network; an identity where there is none."""
    if config.norm == "none":
        return nn.Identity()
    if config.norm == "group":
        return nn.GroupNorm(gcd(config.groups, width), width)
    options = {"affine": True} if config.norm == "instance" else {}
    return _NORMS[config.norm][dimension](width, **options)


class Unit(nn.Module):
    """One convolution with its norm and activation."""

    def __init__(
        self,
        kind: UnitKind,
        inputs: int,
        outputs: int,
        *,
        kernel: int | Sequence[int] | None = None,
        stride: int | Sequence[int] = 1,
        up: bool = False,
        gain: float = 1.4,
    ) -> None:
        super().__init__()
        self.kind, config = kind, kind.config
        size = config.kernel if kernel is None else kernel
        step = stride if isinstance(stride, int) else tuple(stride)
        self.conv: nn.Module
        if up:
            assert isinstance(step, tuple)
            self.conv = TransposedConvolution(
                kind.dimension, inputs, outputs, step, bias=kind.plain
            )
        elif kind.conditioning == "repmode":
            assert isinstance(size, int)
            self.conv = ExpertConvolution(
                kind.dimension, inputs, outputs, size, config.outputs, step
            )
        else:
            self.conv = Convolution(
                kind.dimension,
                inputs,
                outputs,
                size,
                step,
                bias=kind.plain,
                standardised=config.standardised,
                gain=gain,
            )
        condnet, tsn = kind.conditioning == "condnet", kind.conditioning == "tsn"
        # The name is that of published weights.
        self.told = ConditionBias(code_length(config), outputs) if condnet else None
        width = inputs if kind.activated_first else outputs
        self.norm = (
            AdaptiveNorm(code_length(config), width)
            if tsn
            else make_norm(config, kind.dimension, width)
        )

    def forward(self, x: torch.Tensor, task: Task | None = None) -> torch.Tensor:
        if self.kind.activated_first:
            return self._convolved(self._activated(x, task), task)
        return self._activated(self._convolved(x, task), task)

    def _convolved(self, x: torch.Tensor, task: Task | None) -> torch.Tensor:
        y = self.conv(x, task) if self.kind.conditioning == "repmode" else self.conv(x)
        if self.told is not None:
            assert task is not None
            y = self.told(y, task.code)
        return y

    def _activated(self, x: torch.Tensor, task: Task | None) -> torch.Tensor:
        if self.kind.conditioning == "tsn":
            assert task is not None
            return F.leaky_relu(self.norm(x, task.code), 0.01)
        return F.relu(self.norm(x))


class Block(nn.Module):
    """Two units; pre-activated ones (``dod``) with a shortcut around them."""

    def __init__(
        self, kind: UnitKind, inputs: int, outputs: int, stride: int | Sequence[int] = 1
    ) -> None:
        super().__init__()
        self.residual, gain = kind.activated_first, 1.4
        if self.residual:
            gain = 0.3 if kind.config.norm == "none" else 1.0
        self.units = nn.ModuleList(
            [
                Unit(kind, inputs, outputs, stride=stride),
                Unit(kind, outputs, outputs, gain=gain),
            ]
        )
        self.shortcut = None
        if self.residual and (inputs != outputs or stride != 1):
            plain = replace(kind, conditioning=None)
            self.shortcut = Unit(plain, inputs, outputs, kernel=1, stride=stride)
        self.gate = None
        if kind.conditioning == "tgnet":
            self.gate = ChannelGate(outputs, code_length(kind.config))

    def forward(self, x: torch.Tensor, task: Task | None = None) -> torch.Tensor:
        y = x
        for unit in self.units:
            y = unit(y, task)
        if self.gate is not None:
            assert task is not None
            y = self.gate(y, task.code)
        if not self.residual:
            return y
        return y + (x if self.shortcut is None else self.shortcut(x))

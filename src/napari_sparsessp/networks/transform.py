"""From 3D features to 2D ones and back, on every level (SparseSSP, section 3.3)."""

from collections.abc import Sequence

import torch
from torch import nn

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks.conditioning.task import Task
from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.convolution import Convolution
from napari_sparsessp.networks.fold import fold, unfold
from napari_sparsessp.networks.units import Unit, kind_of


class DepthToChannel(nn.Module):
    """A 3D feature (B, C, D, H, W) becomes a 2D one (B, U, H, W).

    In 3D space a 1×1×1 convolution to ⌈U/D⌉ channels, then `fold`; where D does not
    divide U, a 1×1 convolution to U follows. In 2D space `fold`, then a 1×1
    convolution to U.

    Parameters
    ----------
    width : int
        Channels C of the 3D feature.
    depth : int
        Its planes D.
    folded : int
        Channels U of the result.
    space : {"3d", "2d"}
    standardised : bool

    Raises
    ------
    InputError
        U is smaller than D.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        folded: int,
        *,
        space: str = "3d",
        standardised: bool = False,
    ) -> None:
        super().__init__()
        if folded < depth:
            raise InputError(
                f"{depth} planes cannot be folded into {folded} channels; give "
                "folded_width at least one channel for each plane"
            )
        share = -(-folded // depth) if space == "3d" else width
        self.projection = (
            Convolution(3, width, share, kernel=1, standardised=standardised)
            if space == "3d"
            else None
        )
        self.after = (
            Convolution(2, share * depth, folded, kernel=1, standardised=standardised)
            if space == "2d" or share * depth != folded
            else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = fold(x if self.projection is None else self.projection(x))
        return x if self.after is None else self.after(x)


class ChannelToDepth(nn.Module):
    """A 2D feature (B, E, H, W) becomes a 3D one (B, C, D, H, W).

    In 3D space `unfold` to E/D channels, then a 1×1×1 convolution to C; where D does
    not divide E, a 1×1 convolution to the next multiple of D comes first. In 2D space
    a 1×1 convolution to C·D, then `unfold`.

    Parameters
    ----------
    width : int
        Channels E of the 2D feature.
    depth : int
        Planes D of the result.
    channels : int
        Its channels C.
    space : {"3d", "2d"}
    standardised : bool
    """

    def __init__(
        self,
        width: int,
        depth: int,
        channels: int,
        *,
        space: str = "3d",
        standardised: bool = False,
    ) -> None:
        super().__init__()
        self.depth = depth
        share = -(-width // depth) if space == "3d" else channels
        self.before = (
            Convolution(2, width, share * depth, kernel=1, standardised=standardised)
            if space == "2d" or share * depth != width
            else None
        )
        self.projection = (
            Convolution(3, share, channels, kernel=1, standardised=standardised)
            if space == "3d"
            else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = unfold(x if self.before is None else self.before(x), self.depth)
        return x if self.projection is None else self.projection(x)


class GatedFold(Unit):
    """Fold depth, then a k×k unit that knows the structure: the released code's way.

    Parameters
    ----------
    config : NetworkConfig
    width, depth, outputs : int
        Channels and planes of the 3D feature; channels of the result.
    """

    def __init__(
        self, config: NetworkConfig, width: int, depth: int, outputs: int
    ) -> None:
        super().__init__(kind_of(config, 2, told=True), width * depth, outputs)

    def forward(self, x: torch.Tensor, task: Task | None = None) -> torch.Tensor:
        return super().forward(fold(x), task)


class Transform(nn.Module):
    """One change of dimension for each level; none where there is nothing to change.

    Parameters
    ----------
    levels : sequence of Module
    """

    def __init__(self, levels: Sequence[nn.Module]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(
        self, features: list[torch.Tensor], task: Task | None = None
    ) -> list[torch.Tensor]:
        if not self.levels:
            return features
        return [
            level(x, task) if isinstance(level, Unit) else level(x)
            for level, x in zip(self.levels, features, strict=True)
        ]


def make_transform(
    config: NetworkConfig, widths: Sequence[int]
) -> tuple[Transform, tuple[int, ...]]:
    """Transform of a topology.

    Parameters
    ----------
    config : NetworkConfig
    widths : sequence of int
        Channels of the encoder's features.

    Returns
    -------
    transform : Transform
    widths : tuple of int
        Channels of the features that the decoder gets.
    """
    if config.encoder_3d == config.decoder_3d:
        return Transform([]), tuple(widths)
    space, ws = config.projection, config.standardised
    if config.topology == "2to3d":
        depths = config.level_depths(config.decoded_planes)
        targets = config.encoder_widths
        return (
            Transform(
                [
                    ChannelToDepth(width, depth, target, space=space, standardised=ws)
                    for width, depth, target in zip(
                        widths, depths, targets, strict=True
                    )
                ]
            ),
            targets,
        )
    depths = config.level_depths(config.planes)
    if config.projection == "code":
        # The bottleneck keeps what folding gave.
        targets = (*config.decoder_widths, widths[-1] * depths[-1])
        folds = zip(widths, depths, targets, strict=True)
        return Transform([GatedFold(config, *one) for one in folds]), targets
    targets = (config.folded_width,) * len(widths)
    if config.projection == "2d" and config.backbone == "dod":
        # Straight to the widths that are added in the decoder.
        targets = (*config.decoder_widths[1:], config.folded_width)
        targets = (*targets, config.folded_width)
    return (
        Transform(
            [
                DepthToChannel(width, depth, target, space=space, standardised=ws)
                for width, depth, target in zip(widths, depths, targets, strict=True)
            ]
        ),
        targets,
    )

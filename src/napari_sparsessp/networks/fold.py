"""Fold depth into channels and back (models of SparseSSP, section 3)."""

import torch
from torch import nn

from napari_sparsessp.networks.convolution import Convolution


def fold(x: torch.Tensor) -> torch.Tensor:
    """(B, C, D, H, W) → (B, C·D, H, W); channel c, plane d become c·D + d."""
    return x.flatten(1, 2)


def unfold(x: torch.Tensor, depth: int) -> torch.Tensor:
    """(B, C·D, H, W) → (B, C, D, H, W), the inverse of `fold`."""
    return x.unflatten(1, (-1, depth))


class DepthToChannel(nn.Module):
    """1×1×1 convolution to U/D channels, then `fold`: a 3D feature becomes 2D.

    Parameters
    ----------
    width : int
        Channels of the 3D feature.
    depth : int
        Its planes D.
    folded : int
        Channels U of the result.
    standardised : bool
    """

    def __init__(
        self, width: int, depth: int, folded: int, *, standardised: bool
    ) -> None:
        super().__init__()
        self.projection = Convolution(
            3, width, folded // depth, kernel=1, standardised=standardised
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return fold(self.projection(x))

"""CondNet: the decoder is told the structure by constant maps.

Dmitriev and Kaufman, CVPR 2019, as SparseSSP describes it. Convolving a constant map
adds the same number everywhere, so it is added as a bias; the two differ only where
zero padding cuts the map off at the border.
"""

import torch
from torch import nn


class ConditionBias(nn.Module):
    """Adds to each channel what the structure's code says.

    Parameters
    ----------
    code, width : int
        Length K of the code; channels.
    """

    def __init__(self, code: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, code) * 0.1)

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        bias = code.to(x.dtype) @ self.weight.to(x.dtype).T
        return x + bias.view(*bias.shape, *[1] * (x.ndim - 2))

"""TGNet: task-guided gates in the blocks and attention on the skips.

Wu, Pang and Sowmya, ISBI 2022. Only the abstract could be had: it names a task-guided
residual block and a task-guided attention module. What follows is our reading of it.
"""

import torch
from torch import nn

from napari_sparsessp.networks.convolution import Convolution


def _pooled(x: torch.Tensor) -> torch.Tensor:
    """(B, C, …) → (B, C), the mean over all voxels."""
    return x.flatten(2).mean(2)


def _spread(weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(B, C) → (B, C, 1, …), ready to be multiplied with x."""
    return weights.view(*weights.shape, *[1] * (x.ndim - 2)).to(x.dtype)


class ChannelGate(nn.Module):
    """Weighs the channels of a block's branch by what they hold and the structure.

    a = σ(W₂ relu(W₁ [GAP(u); e_t])), in (0, 1) for each channel.

    Parameters
    ----------
    width, code : int
        Channels C; length of the code.
    pooled : int, optional
        Length of what is pooled, C where left out.
    """

    def __init__(self, width: int, code: int, pooled: int | None = None) -> None:
        super().__init__()
        hidden = max(1, width // 4)
        self.squeeze = nn.Linear((pooled or width) + code, hidden)
        self.excite = nn.Linear(hidden, width)

    def weights(self, pooled: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        """(B, P), (B, K) → (B, C)."""
        both = torch.cat([pooled.float(), code.float()], dim=1)
        return torch.sigmoid(self.excite(torch.relu(self.squeeze(both))))

    def forward(self, u: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return u * _spread(self.weights(_pooled(u), code), u)


class SkipAttention(nn.Module):
    """Lets through of a skip what the structure needs.

    m = σ(pᵀ relu(P_s s + P_g g + E e_t)) for each voxel, c = σ(V₂ relu(V₁ [GAP(s);
    GAP(g); e_t])) for each channel; s' = s · m · c.

    Parameters
    ----------
    dimension : {2, 3}
    skip, decoded, code : int
        Channels of the skip s and of the up-sampled feature g; length of the code.
    """

    def __init__(self, dimension: int, skip: int, decoded: int, code: int) -> None:
        super().__init__()
        hidden = max(1, skip // 2)
        self.of_skip = Convolution(dimension, skip, hidden, kernel=1)
        self.of_decoded = Convolution(dimension, decoded, hidden, kernel=1, bias=False)
        self.of_code = nn.Linear(code, hidden, bias=False)
        self.mask = Convolution(dimension, hidden, 1, kernel=1)
        self.channels = ChannelGate(skip, code, skip + decoded)

    def forward(
        self, s: torch.Tensor, g: torch.Tensor, code: torch.Tensor
    ) -> torch.Tensor:
        told = _spread(self.of_code(code.float()), s)
        q = torch.relu(self.of_skip(s) + self.of_decoded(g) + told)
        pooled = torch.cat([_pooled(s), _pooled(g)], dim=1)
        weights = self.channels.weights(pooled, code)
        return s * torch.sigmoid(self.mask(q)) * _spread(weights, s)

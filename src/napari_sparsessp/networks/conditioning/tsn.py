"""TSN: the structure sets scale and shift after each instance norm.

Sun et al., ICCV 2021 (task switching networks).
"""

import torch
import torch.nn.functional as F
from torch import nn


class EqualisedLinear(nn.Module):
    """Linear layer whose stored weights have variance 1 and are scaled when used."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = (2 / inputs) ** 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


class StyleMapping(nn.Module):
    """From a structure's number to its style vector w.

    The code of structure t has 20 ones in block t and zeros elsewhere; eight layers of
    the same length d = 20·T follow.

    Parameters
    ----------
    tasks : int
    """

    PER_TASK = 20
    LAYERS = 8

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self.tasks = tasks
        length = self.PER_TASK * tasks
        self.layers = nn.ModuleList(
            EqualisedLinear(length, length) for _ in range(self.LAYERS)
        )

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        """(B,) → (B, d)."""
        every = torch.arange(self.tasks, device=index.device)
        code = (index[:, None] == every).float()
        w = code.repeat_interleave(self.PER_TASK, dim=1)
        w = w * torch.rsqrt(w.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.layers:
            w = F.leaky_relu(layer(w), 0.2)
        return w


class AdaptiveNorm(nn.Module):
    """Instance norm, then scale and shift by the style.

    Parameters
    ----------
    code, width : int
        Length d of the style; channels.
    """

    def __init__(self, code: int, width: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(code, 2 * width)
        with torch.no_grad():
            self.affine.bias[:width] = 1

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        scale, shift = self.affine(code).chunk(2, dim=1)
        shape = (*scale.shape, *[1] * (x.ndim - 2))
        if x[0, 0].numel() > 1:
            x = F.instance_norm(x)
        return x * scale.view(shape).to(x.dtype) + shift.view(shape).to(x.dtype)

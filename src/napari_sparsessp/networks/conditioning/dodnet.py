"""DoDNet: the structure and the image together make the weights of a small head.

Zhang et al., CVPR 2021.
"""

from collections.abc import Sequence

import torch
from torch import nn

BLOCK = 8192
"""Voxels that a CPU works on at once: their few channels then stay in its cache."""


class DynamicHead(nn.Module):
    """Three 1×1 convolutions whose weights a controller writes for each structure.

    ω = W [f; e_t] + b with f the pooled bottleneck; ω holds W₁, W₂, W₃ (row by row),
    then b₁, b₂, b₃. Everything before it is shared by all structures.

    Parameters
    ----------
    context, tasks, width, outputs : int
        Length of f; structures T; channels before the head; channels of one structure
        (1, or D where the decoder is 2D).
    """

    def __init__(self, context: int, tasks: int, width: int, outputs: int) -> None:
        super().__init__()
        self.tasks = tasks
        self.shapes = ((width, width), (width, width), (outputs, width))
        count = sum(rows * columns + rows for rows, columns in self.shapes)
        self.controller = nn.Linear(context + tasks, count)

    def _weights(
        self, context: torch.Tensor, index: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Weights (B, rows, columns) and biases (B, rows, 1) of the three layers."""
        every = torch.arange(self.tasks, device=index.device)
        code = (index[:, None] == every).to(context.dtype)
        omega = self.controller(torch.cat([context, code], dim=1))
        sizes = [rows * columns for rows, columns in self.shapes]
        parts = omega.split([*sizes, *[rows for rows, _ in self.shapes]], dim=1)
        return [
            (weight.unflatten(1, shape), bias[..., None])
            for weight, bias, shape in zip(
                parts[:3], parts[3:], self.shapes, strict=True
            )
        ]

    def forward(
        self, x: torch.Tensor, context: torch.Tensor, indices: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Predict from the shared feature.

        Parameters
        ----------
        x : Tensor
            (B, width, …)
        context : Tensor
            (B, C)
        indices : sequence of Tensor
            Structure of each sample, (B,), once for each wanted output.

        Returns
        -------
        Tensor
            (B, len(indices)·outputs, …), structures outermost.
        """
        flat = x.flatten(2)
        weights = [self._weights(context, index) for index in indices]
        if torch.is_grad_enabled() or flat.device.type != "cpu":
            y = torch.cat([_applied(one, flat) for one in weights], dim=1)
            return y.unflatten(2, x.shape[2:])
        out: torch.Tensor | None = None
        for start in range(0, flat.shape[2], BLOCK):
            block = flat[:, :, start : start + BLOCK]
            for row, one in enumerate(weights):
                y = _applied(one, block)
                if out is None:
                    shape = (len(x), len(weights), y.shape[1], flat.shape[2])
                    out = y.new_empty(shape)
                out[:, row, :, start : start + BLOCK] = y
        assert out is not None
        return out.flatten(1, 2).unflatten(2, x.shape[2:])


def _applied(
    weights: Sequence[tuple[torch.Tensor, torch.Tensor]], x: torch.Tensor
) -> torch.Tensor:
    """Three 1×1 convolutions with ReLU between, (B, C, V) → (B, outputs, V)."""
    for layer, (weight, bias) in enumerate(weights):
        if layer:
            x = x.relu()
        x = torch.baddbmm(bias.to(x.dtype), weight.to(x.dtype), x)
    return x

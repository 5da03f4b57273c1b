"""DoDNet: the structure and the image together make the weights of a small head.

Zhang et al., CVPR 2021.
"""

from collections.abc import Sequence

import torch
from torch import nn


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
        predictions = []
        for index in indices:
            y = flat
            for layer, (weight, bias) in enumerate(self._weights(context, index)):
                y = torch.baddbmm(bias.to(y.dtype), weight.to(y.dtype), y)
                if layer < 2:
                    y = torch.relu_(y) if not torch.is_grad_enabled() else y.relu()
            predictions.append(y)
        return torch.cat(predictions, dim=1).unflatten(2, x.shape[2:])

"""RepMode: each convolution is a mixture of experts that merge into one kernel.

Zhou et al., CVPR 2023 (MoDE: mixture of diverse experts). The structure's gate mixes
square kernels of all odd sizes and averages of all but the smallest, separately for
each output channel; because all are linear, the mixture is one convolution.
"""

import torch
from torch import nn

from napari_sparsessp.networks.conditioning.task import Task, by_task
from napari_sparsessp.networks.convolution import CONVOLVE


class ExpertConvolution(nn.Module):
    """Convolution with a kernel of its own for each structure, without bias.

    Parameters
    ----------
    dimension : {2, 3}
    inputs, outputs : int
        Channels.
    kernel : int
        Odd size K of the merged kernel. Experts, in the order of the gate: kernels
        K, K−2, …, 1, then averages over 3, …, K behind a 1-kernel.
    tasks : int
        Structures T.
    stride : int or tuple of int
    """

    def __init__(
        self,
        dimension: int,
        inputs: int,
        outputs: int,
        kernel: int,
        tasks: int,
        stride: int | tuple[int, ...] = 1,
    ) -> None:
        super().__init__()
        self.dimension, self.kernel, self.tasks = dimension, kernel, tasks
        self.stride = stride
        self.sizes = tuple(range(kernel, 0, -2))
        self.pools = tuple(range(3, kernel + 1, 2))
        for size in self.sizes:
            weight = torch.randn(outputs, inputs, *[size] * dimension)
            weight *= (inputs * size**dimension) ** -0.5
            self.register_parameter(f"expert_{size}", nn.Parameter(weight))
        for size in self.pools:
            weight = torch.randn(outputs, inputs, *[1] * dimension) * inputs**-0.5
            self.register_parameter(f"pool_{size}", nn.Parameter(weight))
            average = torch.full([size] * dimension, 1 / size**dimension)
            self.register_buffer(f"average_{size}", average)
        self.gate = nn.Linear(tasks, outputs * (len(self.sizes) + len(self.pools)))

    def merged(self, task: int) -> torch.Tensor:
        """Kernel (Co, Ci, K, …) of one structure."""
        logits = self.gate.weight[:, task] + self.gate.bias
        outputs = self.get_parameter("expert_1").shape[0]
        shares = logits.view(-1, outputs).softmax(0)
        shares = shares.view(*shares.shape, *[1] * (self.dimension + 1))
        kernel = shares[0] * self.get_parameter(f"expert_{self.kernel}")
        # Added where they lie; padded first, a published network, with its 400 MB of
        # kernels, takes three times as long to merge.
        experts = len(self.sizes)
        for share, size in zip(shares[1:experts], self.sizes[1:], strict=True):
            self._middle(kernel, size).add_(
                share * self.get_parameter(f"expert_{size}")
            )
        for share, size in zip(shares[experts:], self.pools, strict=True):
            self._middle(kernel, size).addcmul_(
                share * self.get_parameter(f"pool_{size}"),
                self.get_buffer(f"average_{size}"),
            )
        return kernel

    def _middle(self, kernel: torch.Tensor, size: int) -> torch.Tensor:
        """View of the taps that a smaller kernel covers."""
        margin = (self.kernel - size) // 2
        taps = slice(margin, self.kernel - margin)
        whole = slice(None)
        return kernel[(whole, whole, *[taps] * self.dimension)]

    def forward(self, x: torch.Tensor, task: Task) -> torch.Tensor:
        def mixed(one: int, rows: torch.Tensor | slice) -> torch.Tensor:
            return CONVOLVE[self.dimension](
                x[rows], self.merged(one), None, self.stride, self.kernel // 2
            )

        return by_task(task.index if task.one is None else task.one, mixed)

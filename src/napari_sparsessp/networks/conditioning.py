"""Conditioning: how one network knows which structure it shall predict.

`multinet` and `multihead` need nothing of this: each structure has a network, or a last
layer, of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.config import NetworkConfig
from napari_sparsessp.networks.layers import CONVOLVE, Convolution


class EqualisedLinear(nn.Module):
    """Linear layer whose stored weights have variance 1 and are scaled when used."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = (2 / inputs) ** 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


def one_hot(index: torch.Tensor, tasks: int) -> torch.Tensor:
    """(B,) → (B, T) float32."""
    # Compared, not F.one_hot, which looks at the values and cannot be traced.
    every = torch.arange(tasks, device=index.device)
    return (index[:, None] == every).float()


class StyleMapping(nn.Module):
    """From a structure's number to its style vector w.

    The code of structure t has 20 ones in block t and zeros elsewhere; eight layers of
    the same length d = 20·T follow.
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
        w = one_hot(index, self.tasks).repeat_interleave(self.PER_TASK, dim=1)
        w = w * torch.rsqrt(w.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.layers:
            w = F.leaky_relu(layer(w), 0.2)
        return w


class AdaptiveNorm(nn.Module):
    """TSN: the structure sets scale and shift after an instance norm.

    Sun et al., ICCV 2021 (task switching networks).
    """

    def __init__(self, code: int, width: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(code, 2 * width)
        with torch.no_grad():
            self.affine.bias[:width] = 1

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        scale, shift = self.affine(code).chunk(2, dim=1)
        if x[0, 0].numel() > 1:
            x = F.instance_norm(x)
        return x * _spread(scale, x) + _spread(shift, x)


LEARNED_CODE = 8
"""Length of a learned code."""


@dataclass(frozen=True)
class Task:
    """One structure for each sample."""

    index: torch.Tensor  # (B,) whole numbers below T
    code: torch.Tensor  # (B, K) how the conditioning method writes them
    one: int | None = None  # the structure where it is the same for all samples


def by_task(
    index: torch.Tensor | int, run: Callable[[int, torch.Tensor | slice], torch.Tensor]
) -> torch.Tensor:
    """Run each structure's samples together and put the results back in order.

    `run` gets a structure and the rows of its samples and returns (b, …).
    """
    if isinstance(index, int):
        return run(index, slice(None))
    rows = [(index == one).nonzero()[:, 0] for one in index.unique()]
    if len(rows) == 1:
        return run(int(index[0]), slice(None))
    parts = [run(int(index[some[0]]), some) for some in rows]
    return torch.cat(parts)[torch.cat(rows).argsort()]


def code_length(config: NetworkConfig) -> int:
    """Return the length K of a structure's code."""
    if config.conditioning == "tsn":
        return StyleMapping.PER_TASK * config.outputs
    lengths = {"hash": 1, "learned": LEARNED_CODE}
    condnet = config.conditioning == "condnet"
    return lengths.get(config.task_code if condnet else "", config.outputs)


class TaskCoder(nn.Module):
    """From structure numbers to the method's code.

    One-hot for most; TSN's style vector; for CondNet also ``hash``, a fixed random
    number in ±1, or ``learned``, an embedding.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.tasks = config.outputs
        self.style = (
            StyleMapping(config.outputs) if config.conditioning == "tsn" else None
        )
        table = config.task_code if config.conditioning == "condnet" else "onehot"
        self.embedding = None
        if table == "learned":
            self.embedding = nn.Parameter(torch.randn(config.outputs, LEARNED_CODE))
        self.hash: torch.Tensor | None
        self.register_buffer(
            "hash", torch.rand(config.outputs, 1) * 2 - 1 if table == "hash" else None
        )

    def forward(self, index: torch.Tensor, one: int | None = None) -> Task:
        if self.style is not None:
            return Task(index, self.style(index), one)
        if self.embedding is not None:
            return Task(index, self.embedding[index], one)
        if self.hash is not None:
            return Task(index, self.hash[index], one)
        return Task(index, one_hot(index, self.tasks), one)


class ConditionBias(nn.Module):
    """CondNet: a bias of each channel that depends on the structure.

    Dmitriev and Kaufman, CVPR 2019, as SparseSSP describes it. There a constant map is
    convolved, which adds the same number everywhere; the two differ only where zero
    padding cuts the map off at the border.
    """

    def __init__(self, code: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, code) * 0.1)

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return x + _spread(code.to(x.dtype) @ self.weight.to(x.dtype).T, x)


BLOCK = 8192
"""Voxels that a CPU works on at once: their few channels then stay in its cache."""


class DynamicHead(nn.Module):
    """DoDNet: three 1×1 convolutions whose weights a controller writes.

    It sees the structure and the image (Zhang et al., CVPR 2021).
    ω = W [f; e_t] + b with f the pooled bottleneck; ω holds W₁, W₂, W₃ (row by row),
    then b₁, b₂, b₃. Everything before it is shared by all structures.
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
        code = one_hot(index, self.tasks).to(context.dtype)
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
        """Predict (B, width, …) → (B, len(indices)·outputs, …), structures outermost.

        `indices` are the structure of each sample, (B,), once for each wanted output.
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


def _pooled(x: torch.Tensor) -> torch.Tensor:
    """(B, C, …) → (B, C), the mean over all voxels."""
    return x.flatten(2).mean(2)


def _spread(weights: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(B, C) → (B, C, 1, …), ready to be multiplied with x."""
    return weights.view(*weights.shape, *[1] * (x.ndim - 2)).to(x.dtype)


class ChannelGate(nn.Module):
    """TGNet: weighs the channels of a block by what they hold and the structure.

    Wu, Pang and Sowmya, ISBI 2022. Only the abstract could be had: it names a
    task-guided residual block and a task-guided attention module. This and
    `SkipAttention` are our reading of it.

    a = σ(W₂ relu(W₁ [GAP(u); e_t])), in (0, 1) for each channel.
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
        known = _spread(self.of_code(code.float()), s)
        q = torch.relu(self.of_skip(s) + self.of_decoded(g) + known)
        pooled = torch.cat([_pooled(s), _pooled(g)], dim=1)
        weights = self.channels.weights(pooled, code)
        return s * torch.sigmoid(self.mask(q)) * _spread(weights, s)


class ExpertConvolution(nn.Module):
    """RepMode: a mixture of experts that merge into one K×K kernel for each structure.

    Zhou et al., CVPR 2023 (MoDE: mixture of diverse experts). The structure's gate
    mixes square kernels of all odd sizes and averages of all but the smallest,
    separately for each output channel; because all are linear, the mixture is one
    convolution, without bias. Experts, in the order of the gate: kernels K, K−2, …, 1,
    then averages over 3, …, K behind a 1-kernel.
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

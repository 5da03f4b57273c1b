"""Layers whose dimension is a value: convolutions, and depth folded into channels.

Folding (SparseSSP, section 3) keeps features that have their channels last in memory
so: a convolution in another layout than its neighbours costs a copy each time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from napari_sparsessp.errors import InputError

_ON_VALUES = {"normal_", "uniform_", "mul", "mul_", "__imul__", "sub", "copy_"}


class _Unfilled(TorchFunctionMode):
    """Leave out what changes values: on the meta device it imports `torch._dynamo`."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name in _ON_VALUES:
            return args[0] if args else kwargs["tensor"]
        return (torch.empty if name == "rand" else func)(*args, **kwargs)


@contextmanager
def without_values() -> Iterator[None]:
    """Build networks on the meta device: names and shapes, in no time and memory."""
    with torch.device("meta"), _Unfilled():
        yield


CONVOLVE = {2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {2: F.conv_transpose2d, 3: F.conv_transpose3d}


def asks_onednn(x: torch.Tensor) -> bool:
    """Whether oneDNN convolves a stack in float32, past torch's own choice.

    Of one stack with few values torch takes a kernel of its own, which is 2 to 10 times
    slower (docs/speed.md). Only for predictions: gradients and counters of operations
    know torch's names.
    """
    return (
        torch.is_inference_mode_enabled()
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
    )


def draw_weights(weight: torch.Tensor, deviation: float) -> None:
    """Draw from a normal distribution; not on the meta device.

    There is nothing to draw there, and torch would load its compiler for it: seconds.
    """
    if not weight.is_meta:
        nn.init.normal_(weight, std=deviation)


class Convolution(nn.Module):
    """Convolution whose number of dimensions is a value.

    While `standardised`, each filter is used with mean 0 and variance 1/fan_in times
    a learned gain (weight standardisation, Qiao et al. 2019, arXiv 1903.10520; scaled
    as in Brock et al. 2021, arXiv 2101.08692). It needs no statistics of the image,
    so that a tile and the whole give the same numbers, and `bake` folds it into plain
    weights.
    """

    def __init__(
        self,
        dimension: int,
        inputs: int,
        outputs: int,
        kernel: int | Sequence[int] = 3,
        stride: int | Sequence[int] = 1,
        *,
        bias: bool = True,
        standardised: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.dimension = dimension
        sizes = [kernel] * dimension if isinstance(kernel, int) else list(kernel)
        self.stride = stride if isinstance(stride, int) else tuple(stride)
        self.padding = tuple((size - 1) // 2 for size in sizes)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, *sizes))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        draw_weights(self.weight, self.weight[0].numel() ** -0.5)
        self.gain = nn.Parameter(torch.full((outputs,), gain)) if standardised else None
        if not standardised:
            with torch.no_grad():
                self.weight.mul_(gain)

    def effective_weight(self) -> torch.Tensor:
        """The weight as it is used."""
        if self.gain is None:
            return self.weight
        flat = self.weight.flatten(1)
        centred = flat - flat.mean(1, keepdim=True)
        scale = torch.rsqrt(centred.square().sum(1, keepdim=True) + 1e-8)
        return (centred * scale * self.gain[:, None]).view_as(self.weight)

    @torch.no_grad()
    def bake(self) -> None:
        """Fold the standardisation into the weight; the output stays the same."""
        self.weight.copy_(self.effective_weight())
        self.gain = None

    def convolved(
        self,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        padding: tuple[int, ...] | None = None,
    ) -> torch.Tensor:
        """Apply this layer's stride and padding, or another, with other weights."""
        zeros = self.padding if padding is None else padding
        if self.dimension == 3 and asks_onednn(x):
            step = self.stride
            strides = (step, step, step) if isinstance(step, int) else step
            return torch.mkldnn_convolution(
                x, weight, bias, zeros, strides, (1, 1, 1), 1
            )
        return CONVOLVE[self.dimension](x, weight, bias, self.stride, zeros)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolved(x, self.effective_weight(), self.bias)


class TransposedConvolution(nn.Module):
    """Transposed convolution whose kernel is its stride: each voxel becomes a block."""

    def __init__(
        self,
        dimension: int,
        inputs: int,
        outputs: int,
        stride: Sequence[int],
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.dimension = dimension
        self.stride = tuple(stride)
        self.weight = nn.Parameter(torch.empty(inputs, outputs, *stride))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        draw_weights(self.weight, inputs**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        transposed = TRANSPOSED[self.dimension]
        return transposed(x, self.weight, self.bias, self.stride)


def fold(x: torch.Tensor) -> torch.Tensor:
    """(B, C, D, H, W) → (B, C·D, H, W); channel c, plane d become c·D + d."""
    if not channels_last(x):
        return x.flatten(1, 2)
    return x.permute(0, 3, 4, 1, 2).flatten(3).permute(0, 3, 1, 2)


def unfold(x: torch.Tensor, depth: int) -> torch.Tensor:
    """(B, C·D, H, W) → (B, C, D, H, W), the inverse of `fold`."""
    y = x.unflatten(1, (-1, depth))
    if not channels_last(x):
        return y
    return y.contiguous(memory_format=torch.channels_last_3d)


def channels_last(x: torch.Tensor) -> bool:
    """Whether an image or a stack has its channels last in memory, and only so."""
    layout = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
    return x.is_contiguous(memory_format=layout) and not x.is_contiguous()


DISTANCE_SCALE = 4.0  # dense planes; the second input channel is distance / this
DISTANCE_LIMIT = 2.0  # beyond 8 planes all is equally far


def network_input(dense: torch.Tensor, distance: torch.Tensor) -> torch.Tensor:
    """Stack the interpolated stack and where it was measured: (..., 2, D, H, W).

    `dense` (..., D, H, W) is interpolated over z and normalised; `distance` (D,) is the
    signed distance to the nearest measured plane, in dense planes.
    """
    scaled = (distance / DISTANCE_SCALE).clamp(-DISTANCE_LIMIT, DISTANCE_LIMIT)
    where = scaled[:, None, None].expand_as(dense)
    return torch.stack([dense, where.to(dense.dtype)], dim=-4)


class DepthToChannel(nn.Module):
    """A 3D feature (B, C, D, H, W) becomes a 2D one (B, U, H, W).

    In 3D space a 1×1×1 convolution to ⌈U/D⌉ channels, then `fold`; where D does not
    divide U, a 1×1 convolution to U follows. In 2D space `fold`, then a 1×1
    convolution to U.
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
        self.projection: Convolution | None = None
        self.after: Convolution | None = None
        share, ws = width, standardised
        if space == "3d":
            share = -(-folded // depth)
            self.projection = Convolution(3, width, share, 1, standardised=ws)
        if space == "2d" or share * depth != folded:
            self.after = Convolution(2, share * depth, folded, 1, standardised=ws)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = fold(x if self.projection is None else self.projection(x))
        return x if self.after is None else self.after(x)


class ChannelToDepth(nn.Module):
    """A 2D feature (B, E, H, W) becomes a 3D one (B, C, D, H, W).

    In 3D space `unfold` to E/D channels, then a 1×1×1 convolution to C; where D does
    not divide E, a 1×1 convolution to the next multiple of D comes first. In 2D space
    a 1×1 convolution to C·D, then `unfold`.
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
        self.before: Convolution | None = None
        self.projection: Convolution | None = None
        share, ws = channels, standardised
        if space == "3d":
            share = -(-width // depth)
        if space == "2d" or share * depth != width:
            self.before = Convolution(2, width, share * depth, 1, standardised=ws)
        if space == "3d":
            self.projection = Convolution(3, share, channels, 1, standardised=ws)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = unfold(x if self.before is None else self.before(x), self.depth)
        return x if self.projection is None else self.projection(x)

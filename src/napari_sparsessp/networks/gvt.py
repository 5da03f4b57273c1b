"""The global voxel transformer network (GVTNet): a 3D U-Net that attends to all voxels.

Wang, Xie and Ji, Nature Machine Intelligence 2021, doi 10.1038/s42256-020-00283-x.
Units are residual and activated first; in the bottleneck each voxel attends to the
whole stack. Without gradients a stack goes through a few planes at a time, so that they
stay in the processor's cache and of full resolution only the skip is in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.config import PLANES_BYTES, NetworkConfig
from napari_sparsessp.networks.layers import Convolution, draw_weights
from napari_sparsessp.networks.network import Network, View

CEILING = 6.0
"""Of the activation, min(max(x, 0), 6)."""

IN_PLANES = (0, 1, 1)
"""Zeros around planes that come with their neighbours."""

Write = Callable[[torch.Tensor, int, int], None]
"""Writes planes of a feature, from the first to the one before the last."""


class Planes:
    """Planes of a feature, made in order as they are needed and then let go.

    Beyond its ends are zeros.
    """

    def __init__(
        self, write: Write, shape: Sequence[int], like: torch.Tensor, behind: int = 0
    ) -> None:
        self.shape = tuple(shape)  # (1, C, D, H, W)
        _, channels, self.depth, height, width = self.shape
        # Zeros behind y and x, where a strided convolution wants them.
        self._size = (channels, height + behind, width + behind)
        self._write, self._like = write, like
        self._buffer = new_stack(like, channels, (1, *self._size[1:])).zero_()
        # The buffer's first plane, and the end of what is made; before 0 it is zero.
        self._first, self._stop = -1, 0

    def advance(self, start: int, stop: int) -> torch.Tensor:
        """Make all planes below `stop`, let go of those below `start`; return them."""
        ready = min(stop, self.depth)
        ready += ready % 2 if ready < self.depth else 0  # up-sampling makes pairs
        self._make_room(start, max(stop, ready) - start)
        if ready > self._stop:
            begun, self._stop = self._stop, ready
            _, _, height, width = self.shape[1:]
            new = self.part(begun, ready)[..., :height, :width]
            self._write(new, begun, ready)
        if stop > self.depth:
            self.part(self.depth, stop).zero_()
        return self.part(start, stop)

    def part(self, start: int, stop: int) -> torch.Tensor:
        """Return planes that are there."""
        return self._buffer[:, :, start - self._first : stop - self._first]

    def _make_room(self, start: int, count: int) -> None:
        kept, shift = self._stop - start, start - self._first
        old = self._buffer
        if count > old.shape[2]:
            channels, *sides = self._size
            self._buffer = new_stack(self._like, channels, (count, *sides)).zero_()
        elif not shift:
            return
        for plane in range(kept):  # one by one: source and target overlap
            self._buffer[:, :, plane] = old[:, :, plane + shift]
        self._first = start

    def spans(self) -> Iterator[tuple[int, int]]:
        """Cut the depth into what is computed in one go."""
        channels, height, width = self._size
        plane = channels * height * width * self._like.element_size()
        step = max(2, PLANES_BYTES // plane // 2 * 2)
        for start in range(0, self.depth, step):
            yield start, min(start + step, self.depth)


def new_stack(like: torch.Tensor, channels: int, size: Sequence[int]) -> torch.Tensor:
    """Return memory for (1, C, D, H, W), channels last."""
    layout = torch.channels_last_3d
    return torch.empty(
        (1, channels, *size), dtype=like.dtype, device=like.device, memory_format=layout
    )


class Activation(nn.BatchNorm3d):
    """Batch norm, then min(max(x, 0), 6)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu6(super().forward(x))

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Factor and summand (C,) of the norm, once it is trained."""
        variance, mean = self.get_buffer("running_var"), self.get_buffer("running_mean")
        factor = self.weight * torch.rsqrt(variance + self.eps)
        return factor, self.bias - mean * factor

    def write(self, out: torch.Tensor, x: torch.Tensor) -> None:
        """Write the activated (1, C, n, H, W) into `out`, which may be x."""
        factor, summand = (one.view(1, -1, 1, 1, 1) for one in self.folded())
        torch.addcmul(summand.to(x.dtype), x, factor.to(x.dtype), out=out)
        out.clamp_(0, CEILING)


class PlaneConvolution(Convolution):
    """3D convolution without bias, also of planes that come with their neighbours."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(3, inputs, outputs, 3, stride, bias=False)
        if stride > 1:
            self.padding = (0, 0, 0)  # an even size is padded behind alone

    def forward(
        self,
        x: torch.Tensor,
        padding: tuple[int, ...] | None = None,
        norm: Activation | None = None,
    ) -> torch.Tensor:
        """Convolve; with `norm` folded in, the one that comes next."""
        if norm is None:
            return self.convolved(x, self.weight, None, padding)
        factor, summand = norm.folded()
        weight = self.weight * factor.view(-1, 1, 1, 1, 1)
        return self.convolved(x, weight, summand, padding)


class Residual(nn.Module):
    """x + Conv(Act(Conv(Act(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = Activation(width), Activation(width)
        self.conv1 = PlaneConvolution(width, width)
        self.conv2 = PlaneConvolution(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(self.norm2(self.conv1(self.norm1(x))))

    def planewise(self, x: Planes, like: torch.Tensor) -> Write:
        """Return what writes the result's planes, made from those of x."""

        def activate(out: torch.Tensor, start: int, stop: int) -> None:
            self.norm1.write(out, x.part(start, stop))

        def convolve(out: torch.Tensor, start: int, stop: int) -> None:
            seen = first.advance(start - 1, stop + 1)
            torch.clamp(self.conv1(seen, IN_PLANES, self.norm2), 0, CEILING, out=out)

        first = Planes(activate, x.shape, like)
        second = Planes(convolve, x.shape, like)

        def write(out: torch.Tensor, start: int, stop: int) -> None:
            x.advance(start, min(stop + 4, x.depth))
            y = self.conv2(second.advance(start - 1, stop + 1), IN_PLANES)
            torch.add(y, x.part(start, stop), out=out)

        return write


class Down(nn.Module):
    """To half the resolution: a strided residual unit beside a strided shortcut."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = Activation(width), Activation(outputs)
        self.conv1 = PlaneConvolution(width, outputs, stride=2)
        self.conv2 = PlaneConvolution(outputs, outputs)
        self.shortcut = Convolution(3, width, outputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm1(x)
        y = self.conv1(F.pad(x, (0, 1) * 3))
        return self.shortcut(x[..., ::2, ::2, ::2]) + self.conv2(self.norm2(y))

    def planewise(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the same of one stack, a few planes at a time."""
        size = [extent // 2 for extent in x.shape[2:]]
        result = new_stack(x, self.shortcut.weight.shape[0], size)
        project = self.shortcut.weight.flatten(1)

        def activate(out: torch.Tensor, start: int, stop: int) -> None:
            self.norm1.write(out, x[:, :, start:stop])

        def convolve(out: torch.Tensor, start: int, stop: int) -> None:
            seen = fine.advance(2 * start, 2 * stop + 1)
            torch.clamp(self.conv1(seen, None, self.norm2), 0, CEILING, out=out)
            voxels = seen[:, :, :-1:2, :-1:2, :-1:2].permute(0, 2, 3, 4, 1)
            result[:, :, start:stop] = F.linear(voxels, project).permute(0, 4, 1, 2, 3)

        fine = Planes(activate, x.shape, x, behind=1)
        second = Planes(convolve, result.shape, x)
        for start, stop in second.spans():
            y = self.conv2(second.advance(start - 1, stop + 1), IN_PLANES)
            result[:, :, start:stop] += y
        return result


class Up(nn.Module):
    """To double the resolution: a transposed convolution, cropped behind."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, outputs, 3, 3, 3))
        draw_weights(self.weight, width**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        depth, height, width = (2 * extent for extent in x.shape[2:])
        y = F.conv_transpose3d(x, self.weight, stride=2)
        return y[..., :depth, :height, :width]

    def planewise(self, x: torch.Tensor, skip: torch.Tensor) -> Write:
        """Return what writes planes of the sum of result and skip."""

        def write(out: torch.Tensor, start: int, stop: int) -> None:
            first = max(start // 2 - 1, 0)  # it reaches into the next two planes
            y = self(x[:, :, first : stop // 2])[:, :, start - 2 * first :]
            torch.add(y, skip[:, :, start:stop], out=out)

        return write


@dataclass(frozen=True)
class AttentionSums:
    """Sum of kᵀv over voxels, and how many these are; those of tiles add up."""

    products: torch.Tensor  # (B, C, C)
    voxels: int

    def __add__(self, other: "AttentionSums") -> "AttentionSums":
        """Return the sums over both."""
        return AttentionSums(self.products + other.products, self.voxels + other.voxels)


class Attention(nn.Module):
    """x + W(q/√C · kᵀv/N) + b: linear attention to all N voxels of a stack."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Activation(width)
        self.query, self.key, self.value, self.out = (
            Convolution(3, width, width, 1) for _ in range(4)
        )

    def sums(
        self, x: torch.Tensor, inside: torch.Tensor | None = None
    ) -> AttentionSums:
        """Sum over the voxels (D, H, W) that are `inside`, or over all."""
        x = self.norm(x)
        # In double precision, so that the order of tiles does not show.
        wide = torch.float32 if x.device.type == "mps" else torch.float64
        key, value = (layer(x).flatten(2).to(wide) for layer in (self.key, self.value))
        if inside is not None:
            key = key * inside.flatten().to(key)
        count = key.shape[2] if inside is None else int(inside.sum())
        return AttentionSums(key @ value.transpose(1, 2), count)

    def forward(
        self, x: torch.Tensor, sums: AttentionSums | None = None
    ) -> torch.Tensor:
        sums = sums or self.sums(x)
        query = self.query(self.norm(x))
        weights = sums.products / (sums.voxels * query.shape[1] ** 0.5)
        attended = weights.transpose(1, 2).to(query) @ query.flatten(2)
        return x + self.out(attended.unflatten(2, query.shape[2:]))


@dataclass(eq=False)
class Features:
    """Encoder output: skips from full resolution down, and what lies below the last.

    That is the bottleneck at first. A prediction a few planes at a time replaces skips
    by what it decodes with them, all but the finest: their memory is wanted.
    """

    skips: list[torch.Tensor]
    below: torch.Tensor


class GVT(Network):
    """GVTNet with one output for each structure."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        widths = config.encoder_widths
        self.view = View(config)
        self.first = PlaneConvolution(config.inputs, widths[0])
        self.residual = Residual(widths[0])
        steps = list(zip(widths, widths[1:], strict=False))
        self.downs = nn.ModuleList(Down(fine, coarse) for fine, coarse in steps)
        self.attention = Attention(widths[-1])
        self.ups = nn.ModuleList(Up(coarse, fine) for fine, coarse in steps)
        self.decoder = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.norm = Activation(widths[0])
        self.head = Convolution(3, widths[0], config.outputs, gain=0.3)

    def encode(self, x: torch.Tensor, sums: AttentionSums | None = None) -> Features:
        """As of every network; `sums` are those of the stack that x is a tile of."""
        *skips, bottom = self._levels(self.view(x))
        return Features(skips, self.attention(bottom, sums))

    def whole_sums(
        self, x: torch.Tensor, inside: torch.Tensor | None = None
    ) -> AttentionSums:
        """Return a tile's share of what its stack's attention sums up.

        `inside`, a bool (D, H, W) over the bottleneck's voxels, is true for those that
        no other tile counts; all where it is left out.
        """
        return self.attention.sums(self._levels(self.view(x))[-1], inside)

    def decode(
        self, features: Features, structures: Sequence[int] | None = None
    ) -> torch.Tensor:
        rows = self.wanted(structures)
        x = features.below
        if self._planewise(x):
            return self._decode_planewise(features, rows)
        for level in range(len(self.ups) - 1, -1, -1):
            x = self.decoder[level](self.ups[level](x) + features.skips[level])
        bias = self.head.bias
        assert bias is not None
        return self.head.convolved(self.norm(x), self.head.weight[rows], bias[rows])

    def decode_tasks(self, features: Features, index: torch.Tensor) -> torch.Tensor:
        y = self.decode(features)
        return y[torch.arange(len(y)), index][:, None]

    def _planewise(self, x: torch.Tensor) -> bool:
        plain = self.training or torch.is_grad_enabled() or x.is_meta  # to be counted
        return len(x) == 1 and not plain

    def _levels(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Features from full resolution down."""
        planewise = self._planewise(x)
        levels = [self._finest(x) if planewise else self.residual(self.first(x))]
        for down in self.downs:
            x = levels[-1]
            levels.append(down.planewise(x) if planewise else down(x))  # type: ignore[operator]
        return levels

    def _finest(self, x: torch.Tensor) -> torch.Tensor:
        """First convolution and residual unit."""
        like = x.to(_computing_type(x))
        layout = torch.channels_last
        kernel = self.first.weight[:, 0]
        padded = F.pad(like[0, 0], (0, 0, 0, 0, 1, 1))

        def write(out: torch.Tensor, start: int, stop: int) -> None:
            # In 2D, the three planes as channels: of one channel a 3D convolution
            # takes twice as long.
            seen = [
                padded[plane : plane + stop - start]
                for plane in range(start, start + 3)
            ]
            y = F.conv2d(
                torch.stack(seen, 1).contiguous(memory_format=layout), kernel, padding=1
            )
            out.copy_(y.transpose(0, 1)[None])

        shape = (1, kernel.shape[0], *x.shape[2:])
        begun = Planes(write, shape, like)
        unit = self.residual.planewise(begun, like)
        result = new_stack(like, shape[1], shape[2:])
        for start, stop in begun.spans():
            unit(result[:, :, start:stop], start, stop)
        return result

    def _decode_planewise(self, features: Features, rows: list[int]) -> torch.Tensor:
        skips = features.skips
        while len(skips) > 1:
            planes, write = self._decoded(features)
            x = new_stack(skips[-1], planes.shape[1], planes.shape[2:])
            for start, stop in planes.spans():
                write(x[:, :, start:stop], start, stop)
            del planes, write, skips[-1]
            features.below = x
        return self._predicted(self._decoded(features)[1], skips[0], rows)

    def _decoded(self, features: Features) -> tuple[Planes, Write]:
        """Return the planes that a level of the decoder makes, and what writes them."""
        level = len(features.skips) - 1
        skip, up, unit = features.skips[-1], self.ups[level], self.decoder[level]
        assert isinstance(up, Up)
        assert isinstance(unit, Residual)
        planes = Planes(up.planewise(features.below, skip), skip.shape, skip)
        return planes, unit.planewise(planes, skip)

    def _predicted(
        self, write: Write, skip: torch.Tensor, rows: list[int]
    ) -> torch.Tensor:
        """Activate the planes that `write` makes, and convolve them to outputs."""

        def activate(out: torch.Tensor, start: int, stop: int) -> None:
            write(out, start, stop)
            self.norm.write(out, out)

        planes = Planes(activate, skip.shape, skip)
        assert self.head.bias is not None
        bias = self.head.bias[rows, None, None, None]
        # In 2D, with an output for each plane of the kernel: a 3D convolution to one
        # output takes twice as long.
        kernel = self.head.weight[rows].transpose(1, 2).flatten(0, 1)
        result = skip.new_empty((1, len(rows), *skip.shape[2:]))
        for start, stop in planes.spans():
            seen = planes.advance(start - 1, stop + 1)[0].transpose(0, 1)
            parts = F.conv2d(seen, kernel, padding=1).unflatten(1, (-1, 3))
            sums = parts[:-2, :, 0] + parts[1:-1, :, 1] + parts[2:, :, 2]
            torch.add(sums.transpose(0, 1), bias, out=result[0, :, start:stop])
        return result


def _computing_type(x: torch.Tensor) -> torch.dtype:
    kind = x.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return x.dtype

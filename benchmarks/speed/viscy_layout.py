"""VisCy's FCMAE and UNeXt2 as plain functions over tensors of the published names.

Written from the description of the networks, not from `napari_sparsessp.networks`: what
tests and benchmarks compare ours with. Features are (B, C, H, W) and are turned to have
their channels last for layer norms and linear layers, as in the authors' code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Layout:
    """One published network, by what its configuration says."""

    unext2: bool = False
    outputs: int = 2
    depth: int = 15
    stem: tuple[int, int, int] = (5, 4, 4)
    widths: tuple[int, ...] = (96, 192, 384, 768)
    blocks: tuple[int, ...] = (3, 3, 9, 3)
    decoder_blocks: int = 2
    convolves: bool = False  # the head; UNeXt2's always does
    pool: bool = True
    expansion: int = 4
    adam: bool = False  # whether the file has the optimiser's state

    @property
    def multiple(self) -> int:
        """Pixels to multiples of which y and x are padded."""
        return 64 if self.unext2 else 2 ** (len(self.widths) * self.stem[2] // 2)

    @property
    def last(self) -> int:
        """Channels of the decoder at its end."""
        if not self.convolves:
            return self.outputs * self.depth * self.stem[2] ** 2
        share = self.outputs if self.unext2 else 1
        return (self.depth + 2) * share * 4 * self.expansion


PUBLISHED = {
    "VSCyto3D": Layout(adam=True),
    "VSCyto3D 2024": Layout(unext2=True, depth=5, convolves=True, adam=True),
    "VSCyto2D": Layout(depth=1, stem=(1, 2, 2), adam=True),
    "VSNeuromast": Layout(
        depth=21, stem=(7, 4, 4), convolves=True, pool=False, adam=True
    ),
    "VSNeuromast 2024": Layout(
        unext2=True, depth=21, stem=(7, 4, 4), convolves=True, adam=True
    ),
}
"""Networks of the published sizes."""


def shapes(layout: Layout) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of all tensors."""
    widths, unext2 = layout.widths, layout.unext2
    groups = layout.depth // layout.stem[0]
    deep = (widths[0] // groups, 1, *layout.stem)
    if unext2:
        yield from _pair("stem.conv", *deep)
        yield from _pair("encoder_stages.stem_1", widths[0])
    else:
        yield from _pair("encoder.stem.conv3d", *deep)
        yield from _pair("encoder.stem.conv2d", widths[0], 1, *layout.stem[1:])
        yield from _pair("encoder.stem.norm", widths[0])
    stage = "encoder_stages.stages_{}" if unext2 else "encoder.stages.{}"
    for level, (width, blocks) in enumerate(zip(widths, layout.blocks, strict=True)):
        name = stage.format(level)
        if level:
            yield from _pair(f"{name}.downsample.0", widths[level - 1])
            yield from _pair(f"{name}.downsample.1", width, widths[level - 1], 2, 2)
        for k in range(blocks):
            yield from _block(f"{name}.blocks.{k}", width, timm=unext2)
    coarse = widths[-1]
    targets = (*reversed(widths[1:-1]), layout.last)
    for level, width in enumerate(targets):
        name = f"decoder.decoder_stages.{level}.conv"
        both = coarse // 4 + widths[-2 - level]
        yield from _pair(f"{name}.downsample.0", both)
        yield from _pair(f"{name}.downsample.1", width, both, 1, 1)
        for k in range(layout.decoder_blocks):
            yield from _block(f"{name}.blocks.{k}", width, timm=True, ones=(1, 1))
        coarse = width
    if layout.convolves:
        inputs = layout.last // 4 // (layout.depth + 2)
        inner = 4 * layout.outputs * layout.expansion
        yield from _pair("head.conv.0.conv", inner, inputs, 3, 3, 3)
        yield "head.conv.0.adn.A.weight", (1,)
        yield from _pair("head.conv.1", 4 * layout.outputs, inner, 1, 1, 1)


def _pair(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def _block(
    name: str, width: int, *, timm: bool, ones: tuple[int, ...] = ()
) -> Iterator[tuple[str, tuple[int, ...]]]:
    if timm:
        yield from _pair(f"{name}.conv_dw", width, 1, 7, 7)
    else:  # FCMAE's own has no bias here
        yield f"{name}.dwconv.weight", (width, 1, 7, 7)
    yield from _pair(f"{name}.{'norm' if timm else 'layernorm'}", width)
    yield from _pair(f"{name}.mlp.fc1", 4 * width, width, *ones)
    yield from _pair(f"{name}.mlp.grn", 4 * width)
    yield from _pair(f"{name}.mlp.fc2", width, 4 * width, *ones)


def random_state(layout: Layout, seed: int = 0) -> State:
    """Draw all weights, of norms too, so that each of them shows."""
    draw = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes(layout):
        if len(shape) > 1:
            inputs = torch.Size(shape[1:]).numel()
            # So small that the layer norm's epsilon shows
            spread = 0.02 if shape[1:] == (1, 7, 7) else inputs**-0.5
            state[name] = spread * torch.randn(shape, generator=draw)
        else:
            state[name] = 0.5 * torch.randn(shape, generator=draw)
            if name.endswith("norm.weight"):
                state[name] += 1
    return state


def write_checkpoint(path: Path, layout: Layout, state: State) -> None:
    """Write a Lightning checkpoint, with the optimiser's state where it has any."""
    content: dict[str, Any] = {
        "epoch": 1,
        "global_step": 8,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": {f"model.{name}": tensor for name, tensor in state.items()},
        "loops": {"fit_loop": {"state_dict": {}}},
        "hparams_name": "kwargs",
        "hyper_parameters": {"architecture": "fcmae", "lr": 2e-4},
    }
    if layout.adam:
        moments = {
            number: {
                "step": torch.tensor(8.0),
                "exp_avg": torch.full_like(tensor, 0.1),
                "exp_avg_sq": torch.full_like(tensor, 0.01),
            }
            for number, tensor in enumerate(state.values())
        }
        groups = [{"lr": 2e-4, "params": list(moments)}]
        content["optimizer_states"] = [{"state": moments, "param_groups": groups}]
        content["lr_schedulers"] = [{"last_epoch": 1}]
    torch.save(content, path)


# The networks ------------------------------------------------------------------------


def plain_window(layout: Layout, state: State, x: torch.Tensor) -> torch.Tensor:
    """Run one window, (1, 1, D, H, W) → (1, outputs, D, H, W)."""
    features = []
    h = _stem(layout, state, x)
    stage = "encoder_stages.stages_{}" if layout.unext2 else "encoder.stages.{}"
    inner = 1e-6 if layout.unext2 else 1e-5
    for level, blocks in enumerate(layout.blocks):
        name = stage.format(level)
        if level:
            h = _norm(state, f"{name}.downsample.0", h, 1e-6)
            h = F.conv2d(h, *_of(state, f"{name}.downsample.1"), stride=2)
        for k in range(blocks):
            run = _linear_block if layout.unext2 else _fcmae_block
            h = run(state, f"{name}.blocks.{k}", h, inner)
        features.append(h)
    for level, skip in enumerate(reversed(features[:-1])):
        name = f"decoder.decoder_stages.{level}.conv"
        h = torch.cat([F.pixel_shuffle(h, 2), skip], 1)
        h = _norm(state, f"{name}.downsample.0", h, 1e-6)
        h = F.conv2d(h, *_of(state, f"{name}.downsample.1"))
        for k in range(layout.decoder_blocks):
            h = _convolution_block(state, f"{name}.blocks.{k}", h)
    return _head(layout, state, h)


def plain_volume(layout: Layout, state: State, volume: torch.Tensor) -> torch.Tensor:
    """Run a stack (Z, H, W) window by window, padded with zeros: the running mean."""
    pads = []
    for length in volume.shape[:0:-1]:
        more = -length % layout.multiple
        pads += [more // 2, more - more // 2]
    padded = F.pad(volume, pads)[None, None]
    depth, mean = layout.depth, torch.zeros(())
    for first in range(len(volume) - depth + 1):
        values = plain_window(layout, state, padded[:, :, first : first + depth])[0]
        if not first:
            mean = values.new_zeros(len(values), *padded.shape[2:])
        for plane in range(depth):
            seen = min(depth - plane, first + 1)
            old = mean[:, first + plane] * (seen - 1) / seen
            mean[:, first + plane] = old + values[:, plane] / seen
    height, width = volume.shape[1:]
    return mean[..., pads[2] : pads[2] + height, pads[0] : pads[0] + width]


def _of(state: State, name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    return state[f"{name}.weight"], state.get(f"{name}.bias")


def _norm(state: State, name: str, h: torch.Tensor, epsilon: float) -> torch.Tensor:
    h = F.layer_norm(h.permute(0, 2, 3, 1), h.shape[1:2], *_of(state, name), epsilon)
    return h.permute(0, 3, 1, 2)


def _stem(layout: Layout, state: State, x: torch.Tensor) -> torch.Tensor:
    if layout.unext2:
        h = F.conv3d(x, *_of(state, "stem.conv"), stride=layout.stem).flatten(1, 2)
        return _norm(state, "encoder_stages.stem_1", h, 1e-6)
    if layout.depth == 1:
        kernel = _of(state, "encoder.stem.conv2d")
        h = F.conv2d(x[:, :, 0], *kernel, stride=layout.stem[1:])
    else:
        kernel = _of(state, "encoder.stem.conv3d")
        h = F.conv3d(x, *kernel, stride=layout.stem).flatten(1, 2)
    return _norm(state, "encoder.stem.norm", h, 1e-5)


def _linear_block(
    state: State, name: str, h: torch.Tensor, epsilon: float
) -> torch.Tensor:
    return _channels_last_block(state, name, h, epsilon, "conv_dw", "norm")


def _fcmae_block(
    state: State, name: str, h: torch.Tensor, epsilon: float
) -> torch.Tensor:
    return _channels_last_block(state, name, h, epsilon, "dwconv", "layernorm")


def _channels_last_block(
    state: State, name: str, x: torch.Tensor, epsilon: float, depthwise: str, norm: str
) -> torch.Tensor:
    width = x.shape[1]
    kernel = _of(state, f"{name}.{depthwise}")
    h = F.conv2d(x, *kernel, padding=3, groups=width).permute(0, 2, 3, 1)
    h = F.layer_norm(h, (width,), *_of(state, f"{name}.{norm}"), epsilon)
    h = F.gelu(F.linear(h, *_of(state, f"{name}.mlp.fc1")))
    weight, bias = _of(state, f"{name}.mlp.grn")
    strength = h.norm(p=2, dim=(1, 2), keepdim=True)
    share = strength / (strength.mean(-1, keepdim=True) + 1e-6)
    h = h + torch.addcmul(bias, weight, h * share)  # type: ignore[arg-type]
    h = F.linear(h, *_of(state, f"{name}.mlp.fc2"))
    return x + h.permute(0, 3, 1, 2)


def _convolution_block(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    width = x.shape[1]
    h = F.conv2d(x, *_of(state, f"{name}.conv_dw"), padding=3, groups=width)
    h = _norm(state, f"{name}.norm", h, 1e-6)
    h = F.gelu(F.conv2d(h, *_of(state, f"{name}.mlp.fc1")))
    weight, bias = (part.view(1, -1, 1, 1) for part in _of(state, f"{name}.mlp.grn"))  # type: ignore[union-attr]
    strength = h.norm(p=2, dim=(2, 3), keepdim=True)
    share = strength / (strength.mean(1, keepdim=True) + 1e-6)
    h = h + torch.addcmul(bias, weight, h * share)
    return x + F.conv2d(h, *_of(state, f"{name}.mlp.fc2"))


def _pooled(h: torch.Tensor, size: int) -> torch.Tensor:
    return F.avg_pool2d(F.pad(h, (size - 1, 0, size - 1, 0)), size, stride=1)


def _head(layout: Layout, state: State, h: torch.Tensor) -> torch.Tensor:
    if not layout.convolves:
        pixels = layout.stem[2]
        h = _pooled(F.pixel_shuffle(h, pixels), pixels)
        return h.unflatten(1, (layout.outputs, layout.depth))
    h = F.pixel_shuffle(h, 2)
    if layout.pool:
        h = _pooled(h, 2)
    h = h.unflatten(1, (-1, layout.depth + 2))
    h = F.conv3d(h, *_of(state, "head.conv.0.conv"), padding=(0, 1, 1))
    h = F.prelu(F.instance_norm(h, eps=1e-5), state["head.conv.0.adn.A.weight"])
    h = F.conv3d(h, *_of(state, "head.conv.1"))
    return F.pixel_shuffle(h.transpose(1, 2), 2).transpose(1, 2)

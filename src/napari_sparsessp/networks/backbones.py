"""The 2D backbones of the paper's Table 5, as pyramids with strides 1 to 16.

The networks themselves come from the optional transformers library; their sizes are in
`napari_sparsessp.networks.backbone_specs.BACKBONES`. Nothing is ever downloaded.
"""

from math import ceil, gcd, log2
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks.backbone_specs import STRIDE, BackboneSpec, backbone_spec

IMAGE_SIZE = 128
"""Pixels along a side for which positions are stored; others are interpolated."""


def build_backbone(
    name: str, channels: int, *, patch_size: int | None = None, tiny: bool = False
) -> "Backbone2d":
    """Build a 2D backbone with random weights.

    (B, channels, H, W) → five tensors at strides 1, 2, 4, 8, 16, of ``.widths``
    channels, for H and W that are multiples of 16. `patch_size` is a vision
    transformer's: 16 where left out, also for DINOv2, published with 14.
    """
    spec = backbone_spec(name, tiny=tiny)
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            f"backbone {name} needs the transformers library; install it with: "
            'pip install "napari-sparsessp[backbones]"'
        ) from error
    if spec.kind == "resnet":
        return ResNetPyramid(spec, channels, transformers)
    if spec.kind == "swin":
        return SwinPyramid(spec, channels, transformers)
    return ViTPyramid(spec, channels, transformers, patch_size or spec.patch)


class Stem(nn.Sequential):
    """3×3 convolution, norm, activation: levels finer than the trunk begins with."""

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, *, batch_norm: bool = False
    ) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs) if batch_norm else _group_norm(outputs),
            nn.ReLU() if batch_norm else nn.GELU(),
        )


class Upsampling(nn.Sequential):
    """2×2 transposed convolutions with stride 2, each with norm and activation.

    Channels are halved in each of the steps before the last.
    """

    def __init__(self, inputs: int, outputs: int, steps: int = 1) -> None:
        layers: list[nn.Module] = []
        for step in range(steps):
            width = outputs if step == steps - 1 else max(outputs, inputs // 2)
            up = nn.ConvTranspose2d(inputs, width, 2, stride=2, bias=False)
            layers += [up, _group_norm(width), nn.GELU()]
            inputs = width
        super().__init__(*layers)


def _group_norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(gcd(8, width), width)


class Backbone2d(nn.Module):
    """A 2D encoder: (B, channels, H, W) → five features at strides 1, 2, 4, 8, 16."""

    trunk: Any  # the published network, whose parts mypy cannot see

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.widths = spec.widths


class ResNetPyramid(Backbone2d):
    """ResNet whose last stage stays at stride 16, with a stem at full resolution.

    The published last stage ends at stride 32, which no level of the decoder has. Here
    it is dilated instead of strided: the weights and what they look at stay the same,
    and tiles that are shifted by 16 pixels see the same grid.
    """

    def __init__(self, spec: BackboneSpec, channels: int, library: ModuleType) -> None:
        super().__init__(spec)
        self.stem = Stem(channels, spec.widths[0], batch_norm=True)
        self.trunk = library.ResNetModel(
            library.ResNetConfig(num_channels=channels, **spec.shape)
        )
        first = True
        for module in self.trunk.encoder.stages[-1].modules():
            if not isinstance(module, nn.Conv2d):
                continue
            if module.stride != (1, 1):
                module.stride = (1, 1)
                if module.kernel_size != (1, 1):
                    first = False  # it still looks at the grid before it
                    continue
            if module.kernel_size != (1, 1) and not first:
                module.dilation = module.padding = (2, 2)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        half = self.trunk.embedder.embedder(x)
        y = self.trunk.embedder.pooler(half)
        quarter, eighth, sixteenth, last = self.trunk.encoder.stages
        s4 = quarter(y)
        s8 = eighth(s4)
        return [self.stem(x), half, s4, s8, last(sixteenth(s8))]


class SwinPyramid(Backbone2d):
    """Swin-B (Liu et al. 2021, arXiv 2103.14030) with finer levels.

    Stride 1 is a convolution of the input, stride 2 a transposed convolution of stride
    4. The last stage, at stride 32, comes back to stride 16 by a transposed convolution
    and is added there, so that no published layer is left out. Tokens are padded to
    whole windows of 7 × 7 by the library.
    """

    def __init__(self, spec: BackboneSpec, channels: int, library: ModuleType) -> None:
        super().__init__(spec)
        full, half, quarter, _, sixteenth = spec.widths
        self.stem = Stem(channels, full)
        self.finer = Upsampling(quarter, half)
        self.trunk = library.SwinBackbone(
            library.SwinConfig(
                num_channels=channels,
                patch_size=spec.patch,
                image_size=IMAGE_SIZE,
                out_features=["stage1", "stage2", "stage3", "stage4"],
                **spec.shape,
            )
        )
        # Its result goes nowhere in a pyramid: each stage has a norm of its own.
        inner = getattr(self.trunk, "swin", None)
        if inner is not None:
            inner.layernorm = nn.Identity()
        self.coarsest = Upsampling(2 * sixteenth, sixteenth)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        s4, s8, s16, s32 = self.trunk(x).feature_maps
        height, width = s16.shape[-2:]
        s16 = s16 + self.coarsest(s32)[..., :height, :width]
        return [self.stem(x), self.finer(s4), s4, s8, s16]


class Level(nn.Module):
    """One level of a pyramid, made from a map of tokens at stride `base`."""

    def __init__(self, inputs: int, outputs: int, base: int, stride: int) -> None:
        super().__init__()
        self.pool = max(1, stride // base)
        self.layer: nn.Module = nn.Identity()
        if stride < base:
            self.layer = Upsampling(inputs, outputs, int(log2(base // stride)))
        elif inputs != outputs:
            self.layer = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(F.avg_pool2d(x, self.pool) if self.pool > 1 else x)


class ViTPyramid(Backbone2d):
    """ViT or DINOv2 as a simple feature pyramid (Li et al. 2022, arXiv 2203.16527).

    ViT: Dosovitskiy et al. 2021, arXiv 2010.11929. DINOv2: Oquab et al. 2023, arXiv
    2304.07193. Strides 1 and 2 are convolutions of the input; stride 16 is the tokens
    themselves, without the class token. Patches of any size are possible: the image is
    stretched to whole patches, and the map of tokens is brought to the nearest stride
    that is a power of two (at most 16).
    """

    def __init__(
        self,
        spec: BackboneSpec,
        channels: int,
        library: ModuleType,
        patch_size: int,
    ) -> None:
        super().__init__(spec)
        full, half, quarter, eighth, hidden = spec.widths
        self.patch_size = patch_size
        # log2 halves are ties: 12 px goes to 16, where tokens are not pooled.
        self.base = min(STRIDE, 2 ** round(log2(patch_size)))
        self.stem = Stem(channels, full)
        self.half_stem = Stem(full, half, stride=2)
        options = dict(
            spec.shape,
            num_channels=channels,
            patch_size=patch_size,
            image_size=ceil(IMAGE_SIZE / patch_size) * patch_size,
        )
        self._options: dict[str, bool] = {}
        if spec.kind == "vit":
            config = library.ViTConfig(**options)
            self.trunk = library.ViTModel(config, add_pooling_layer=False)
            # DINOv2 of this library always fits its positions to the image.
            self._options = {"interpolate_pos_encoding": True}
        else:
            self.trunk = library.Dinov2Model(library.Dinov2Config(**options))
            # Only for its own training; here it would never get a gradient.
            self.trunk.embeddings.mask_token = None
        self.levels = nn.ModuleList(
            Level(hidden, width, self.base, stride)
            for width, stride in ((quarter, 4), (eighth, 8), (hidden, 16))
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        size = x.shape[-2:]
        grid = [ceil(length / self.patch_size) for length in size]
        patched = _stretched(x, [count * self.patch_size for count in grid])
        tokens = self.trunk(patched, **self._options).last_hidden_state
        feature = tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
        feature = _stretched(feature, [length // self.base for length in size])
        full = self.stem(x)
        return [full, self.half_stem(full), *(level(feature) for level in self.levels)]


def _stretched(x: torch.Tensor, size: list[int]) -> torch.Tensor:
    if list(x.shape[-2:]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)

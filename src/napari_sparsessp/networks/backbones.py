"""The 2D backbones of the paper's Table 5, as pyramids with strides 1 to 16.

The networks themselves come from the optional transformers library; their sizes are in
`napari_sparsessp.networks.config.BACKBONES`. Nothing is ever downloaded.
"""

import re
from collections.abc import Mapping
from math import ceil, gcd, isqrt, log2
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.errors import InputError, ModelError
from napari_sparsessp.networks.config import STRIDE, BackboneSpec, backbone_spec

_PREFIX = re.compile(r"^(?:module|model|backbone|vit|swin|resnet|dinov2)\.")
_SPELLINGS = (
    (re.compile(r"^encoder\.layer\."), "layers."),
    (re.compile(r"\.attention\.(?:attention|self)\."), ".attention."),
    (re.compile(r"\.attention\.output\.dense\."), ".attention.o_proj."),
    (re.compile(r"\.attention\.(q)uery\."), r".attention.\1_proj."),
    (re.compile(r"\.attention\.(k)ey\."), r".attention.\1_proj."),
    (re.compile(r"\.attention\.(v)alue\."), r".attention.\1_proj."),
    (re.compile(r"\.intermediate\.dense\."), ".mlp.fc1."),
    (re.compile(r"\.output\.dense\."), ".mlp.fc2."),
    (re.compile(r"\.relative_position_bias\.relative"), ".relative"),
)
# What a trunk has no use for: heads, and the tokens of masked training.
_IGNORED = re.compile(
    r"^(?:classifier|pooler|head|decoder|layernorm)\.|mask_token$"
    r"|relative_position_index$|num_batches_tracked$"
)
# Fresh ones are right: norms that the pyramid adds, and indices the library computes.
_OPTIONAL = re.compile(
    r"^hidden_states_norms\.|relative_position_index$|num_batches_tracked$"
)
_FIRST_LAYERS = {
    "embeddings.patch_embeddings.projection.weight",
    "embedder.embedder.convolution.weight",
}
_POSITIONS = "embeddings.position_embeddings"


def build_backbone(
    name: str,
    channels: int,
    *,
    patch_size: int | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
    image_size: int = 128,
    tiny: bool = False,
) -> "Backbone2d":
    """Build a 2D backbone with random weights, or with given ones.

    (B, channels, H, W) → five tensors at strides 1, 2, 4, 8, 16, of ``.widths``
    channels, for H and W that are multiples of 16. `weights` are tensors as published
    for the transformers library; the first layer and the positions, stored for
    `image_size` pixels, are fitted. `patch_size` is a vision transformer's: 16 where
    left out, also for DINOv2, whose published kernel of 14 is then resampled.
    """
    spec = backbone_spec(name, tiny=tiny)
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            f"backbone {name} needs the transformers library; install it with: "
            'pip install "napari-sparsessp[backbones]"'
        ) from error
    backbone: Backbone2d
    if spec.kind == "resnet":
        backbone = ResNetPyramid(spec, channels, transformers)
    elif spec.kind == "swin":
        backbone = SwinPyramid(spec, channels, transformers, image_size)
    else:
        patch = patch_size or spec.patch
        backbone = ViTPyramid(spec, channels, transformers, image_size, patch)
    if weights is not None:
        load_weights(name, backbone.trunk, weights)
    return backbone


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

    def __init__(
        self, spec: BackboneSpec, channels: int, library: ModuleType, image_size: int
    ) -> None:
        super().__init__(spec)
        full, half, quarter, _, sixteenth = spec.widths
        self.stem = Stem(channels, full)
        self.finer = Upsampling(quarter, half)
        self.trunk = library.SwinBackbone(
            library.SwinConfig(
                num_channels=channels,
                patch_size=spec.patch,
                image_size=ceil(image_size / STRIDE) * STRIDE,
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
        image_size: int,
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
            image_size=ceil(image_size / patch_size) * patch_size,
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


def plain_name(name: str) -> str:
    """Return a tensor's name as the library spells it now."""
    while (shorter := _PREFIX.sub("", name, count=1)) != name:
        name = shorter
    for pattern, spelling in _SPELLINGS:
        name = pattern.sub(spelling, name)
    return name


def load_weights(
    name: str, trunk: nn.Module, tensors: Mapping[str, torch.Tensor]
) -> None:
    """Copy published weights into a trunk, in place.

    Names differ between releases of the transformers library and the files published
    for it: both are brought to one spelling before they are matched. The first layer
    and the positions are fitted to the trunk's.
    """
    stored = {plain_name(key): key for key in tensors}
    wanted = {plain_name(key): value for key, value in trunk.state_dict().items()}
    advice = f"choose a file published for {name}"
    if extra := sorted(k for k in set(stored) - set(wanted) if not _IGNORED.search(k)):
        raise ModelError(
            f"the backbone weights hold {stored[extra[0]]}, which {name} does not "
            f"have; {advice}"
        )
    if gone := sorted(k for k in set(wanted) - set(stored) if not _OPTIONAL.search(k)):
        raise ModelError(
            f"the backbone weights lack {gone[0]}, which {name} needs; {advice}"
        )
    for key, target in wanted.items():
        if key not in stored or _OPTIONAL.search(key):
            continue
        tensor = tensors[stored[key]]
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise ModelError(
                f"the backbone weights hold values in {stored[key]} that are not "
                "finite numbers; get the file again"
            )
        fitted = _fitted(key, tensor.float(), target)
        if fitted.shape != target.shape:
            raise ModelError(
                f"the backbone weights hold {stored[key]} as {tuple(tensor.shape)}, "
                f"where {name} needs {tuple(target.shape)}; {advice}"
            )
        with torch.no_grad():
            target.copy_(fitted)


def _fitted(key: str, tensor: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    if key in _FIRST_LAYERS and tensor.ndim == 4 and tensor.shape[1]:
        tensor = adapt_channels(tensor, target.shape[1])
        # A transformer's patches can have any size; a ResNet's kernel cannot.
        if "patch" in key and tensor.shape[-1] == tensor.shape[-2]:
            tensor = resize_kernel(tensor, target.shape[-1])
    elif key == _POSITIONS and tensor.ndim == 3 and tensor.shape[1] > 1:
        tensor = resize_positions(tensor, target.shape[1])
    return tensor


def adapt_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """Fit a first layer (O, C, h, w) to any number of input channels.

    The mean over the published channels is repeated and scaled by published/wanted, so
    that the same grey image in all channels gives the same activations. Colours mean
    nothing for planes: a kernel for RGB is averaged for three channels too; one for any
    other number of channels stays as it is where that is the number wanted.
    """
    published = weight.shape[1]
    if published == channels and published != 3:
        return weight
    mean = weight.mean(1, keepdim=True) * (published / channels)
    return mean.repeat(1, channels, 1, 1)


def resize_kernel(weight: torch.Tensor, size: int) -> torch.Tensor:
    """Fit a patch kernel (O, C, p, p) to patches of another size, by pseudo-inverse.

    The kernel whose answer to a linearly resized patch is closest to the published
    kernel's answer to the patch itself; equal where patches grow (Beyer et al. 2023,
    FlexiViT, arXiv 2212.08013, section 3.4).
    """
    published = weight.shape[-1]
    if published == size:
        return weight
    # Columns are what resizing makes of one pixel; it is the same along y and x.
    identity = torch.eye(published, dtype=torch.float64)[None]
    resize = F.interpolate(identity, size=size, mode="linear", align_corners=False)
    inverse = torch.linalg.pinv(resize[0])  # (size, published)
    return (inverse @ weight.double() @ inverse.mT).to(weight.dtype)


def resize_positions(positions: torch.Tensor, count: int) -> torch.Tensor:
    """Fit position embeddings of a square grid to another square grid, bicubic.

    `positions` are (1, 1 + g², C), the class token's, then the grid's; `count` is the
    wanted 1 + g². Where either is no square grid they stay as they are.
    """
    old, new = isqrt(positions.shape[1] - 1), isqrt(count - 1)
    square = old**2 + 1 == positions.shape[1] and new**2 + 1 == count
    if old == new or not old or not square:
        return positions
    grid = positions[:, 1:].mT.unflatten(2, (old, old))
    grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], grid.flatten(2).mT], dim=1)

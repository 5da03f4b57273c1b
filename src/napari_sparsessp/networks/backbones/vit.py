"""Vision transformers as simple feature pyramids.

ViT: Dosovitskiy et al. 2021, arXiv 2010.11929. DINOv2: Oquab et al. 2023, arXiv
2304.07193. The pyramid: Li et al. 2022, arXiv 2203.16527. Features from several
depths: Hatamizadeh et al. 2022 (UNETR), arXiv 2103.10504.
"""

from math import ceil, log2
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import nn

from napari_sparsessp.networks.backbones.catalogue import STRIDE, BackboneSpec
from napari_sparsessp.networks.backbones.pyramid import Backbone2d, Stem, Upsampling


class Level(nn.Module):
    """One level of the pyramid, made from a map of tokens.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    base, stride : int
        Powers of two: the map's stride and the level's.
    """

    def __init__(self, inputs: int, outputs: int, base: int, stride: int) -> None:
        super().__init__()
        self.pool = max(1, stride // base)
        self.layer: nn.Module
        if stride < base:
            self.layer = Upsampling(inputs, outputs, int(log2(base // stride)))
        elif inputs != outputs:
            self.layer = nn.Conv2d(inputs, outputs, 1)
        else:
            self.layer = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(F.avg_pool2d(x, self.pool) if self.pool > 1 else x)


class ViTPyramid(Backbone2d):
    """ViT or DINOv2 with transposed convolutions to the finer levels.

    Strides 1 and 2 are convolutions of the input; stride 16 is the tokens themselves,
    without the class token. Patches of any size are possible: the image is stretched
    to whole patches, and the map of tokens is brought to the nearest stride that is a
    power of two (at most 16).

    Parameters
    ----------
    name : str
    spec : BackboneSpec
    channels : int
    library : module
        transformers
    image_size : int
        Sets how many position embeddings there are; any other size resizes them.
    patch_size : int
    taps : bool
        Take strides 8, 4 and 2 from after 3/4, 1/2 and 1/4 of the blocks, not all from
        the last.
    """

    def __init__(
        self,
        name: str,
        spec: BackboneSpec,
        channels: int,
        library: ModuleType,
        image_size: int,
        patch_size: int,
        taps: bool,
    ) -> None:
        super().__init__(name, spec, channels)
        full, half, quarter, eighth, hidden = spec.widths
        self.patch_size = patch_size
        # log2 halves are ties: 12 px goes to 16, where tokens are not pooled.
        self.base = min(STRIDE, 2 ** round(log2(patch_size)))
        self.stem = Stem(channels, full, stride=1, norm="group")
        self.half_stem = Stem(full, half, stride=2, norm="group")
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
        self.taps = self._tap_blocks(taps)
        self.levels = nn.ModuleList(
            Level(hidden, width, self.base, stride)
            for width, stride in ((quarter, 4), (eighth, 8), (hidden, 16))
        )
        self.deep_half = Level(hidden, half, self.base, 2) if taps else None

    def _blocks(self) -> nn.ModuleList:
        """The transformer's blocks, wherever this release of the library keeps them."""
        encoder = getattr(self.trunk, "encoder", None)
        return self.trunk.layers if encoder is None else encoder.layer

    def _tap_blocks(self, taps: bool) -> tuple[int, int, int, int]:
        """After how many blocks strides 2, 4, 8 and 16 are taken."""
        count = len(self._blocks())
        if not taps:
            return count, count, count, count
        return ceil(count / 4), ceil(count / 2), ceil(count * 3 / 4), count

    def _maps(self, x: torch.Tensor) -> dict[int, torch.Tensor]:
        """Maps of tokens at stride `base`, by how many blocks they went through."""
        height, width = x.shape[-2:]
        patch = self.patch_size
        grid = ceil(height / patch), ceil(width / patch)
        if (grid[0] * patch, grid[1] * patch) != (height, width):
            x = F.interpolate(
                x,
                size=(grid[0] * patch, grid[1] * patch),
                mode="bilinear",
                align_corners=False,
            )
        tokens = self.trunk.embeddings(x, **self._options)
        maps = {}
        blocks = self._blocks()
        for done, block in enumerate(blocks, start=1):
            result = block(tokens)
            tokens = result[0] if isinstance(result, tuple) else result
            if done in self.taps:
                last = done == len(blocks)
                seen = self.trunk.layernorm(tokens) if last else tokens
                feature = seen[:, 1:].transpose(1, 2).unflatten(2, grid)
                maps[done] = self._resampled(feature, height, width)
        return maps

    def _resampled(
        self, feature: torch.Tensor, height: int, width: int
    ) -> torch.Tensor:
        size = (height // self.base, width // self.base)
        if feature.shape[-2:] == size:
            return feature
        return F.interpolate(feature, size=size, mode="bilinear", align_corners=False)

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = self._maps(x)
        full = self.stem(x)
        half = self.half_stem(full)
        if self.deep_half is not None:
            half = half + self.deep_half(maps[self.taps[0]])
        deep = zip(self.levels, self.taps[1:], strict=True)
        return [full, half, *(level(maps[tap]) for level, tap in deep)]

"""Swin-B (Liu et al. 2021, arXiv 2103.14030) as a pyramid."""

from types import ModuleType

import torch
from torch import nn

from napari_sparsessp.networks.backbones.catalogue import STRIDE, BackboneSpec
from napari_sparsessp.networks.backbones.pyramid import Backbone2d, Stem, Upsampling


class SwinPyramid(Backbone2d):
    """Swin with finer levels, and with its stride 32 added to stride 16.

    Stride 1 is a convolution of the input, stride 2 a transposed convolution of stride
    4. The last stage, at stride 32, comes back to stride 16 by a transposed convolution
    and is added there, so that no published layer is left out. Tokens are padded to
    whole windows of 7 × 7 by the library.

    Parameters
    ----------
    name : str
    spec : BackboneSpec
    channels : int
    library : module
        transformers
    image_size : int
    """

    def __init__(
        self,
        name: str,
        spec: BackboneSpec,
        channels: int,
        library: ModuleType,
        image_size: int,
    ) -> None:
        super().__init__(name, spec, channels)
        full, half, quarter, _, sixteenth = spec.widths
        self.stem = Stem(channels, full, stride=1, norm="group")
        self.finer = Upsampling(quarter, half, steps=1)
        self.trunk = library.SwinBackbone(
            library.SwinConfig(
                num_channels=channels,
                patch_size=spec.patch,
                image_size=-(-image_size // STRIDE) * STRIDE,
                out_features=["stage1", "stage2", "stage3", "stage4"],
                **spec.shape,
            )
        )
        # Its result goes nowhere in a pyramid: each stage has a norm of its own.
        inner = getattr(self.trunk, "swin", None)
        if inner is not None:
            inner.layernorm = nn.Identity()
        self.coarsest = Upsampling(2 * sixteenth, sixteenth, steps=1)

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        s4, s8, s16, s32 = self.trunk(x).feature_maps
        height, width = s16.shape[-2:]
        s16 = s16 + self.coarsest(s32)[..., :height, :width]
        return [self.stem(x), self.finer(s4), s4, s8, s16]

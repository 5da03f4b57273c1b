"""ResNet-18 (He et al. 2016, arXiv 1512.03385) as a pyramid."""

from types import ModuleType

import torch
from torch import nn

from napari_sparsessp.networks.backbones.catalogue import BackboneSpec
from napari_sparsessp.networks.backbones.pyramid import Backbone2d, Stem


class ResNetPyramid(Backbone2d):
    """ResNet whose last stage stays at stride 16, with a stem at full resolution.

    The published last stage ends at stride 32, which no level of the decoder has. Here
    it is dilated instead of strided: the weights and what they look at stay the same,
    and tiles that are shifted by 16 pixels see the same grid.

    Parameters
    ----------
    name : str
    spec : BackboneSpec
    channels : int
    library : module
        transformers
    """

    def __init__(
        self, name: str, spec: BackboneSpec, channels: int, library: ModuleType
    ) -> None:
        super().__init__(name, spec, channels)
        self.stem = Stem(channels, spec.widths[0], stride=1, norm="batch")
        self.trunk = library.ResNetModel(
            library.ResNetConfig(num_channels=channels, **spec.shape)
        )
        self._dilate_last_stage()

    def _dilate_last_stage(self) -> None:
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

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        half = self.trunk.embedder.embedder(x)
        y = self.trunk.embedder.pooler(half)
        quarter, eighth, sixteenth, last = self.trunk.encoder.stages
        s4 = quarter(y)
        s8 = eighth(s4)
        return [self.stem(x), half, s4, s8, last(sixteenth(s8))]

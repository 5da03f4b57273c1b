"""The 2D backbones of the paper's Table 5, as pyramids with strides 1 to 16."""

from typing import TYPE_CHECKING, Any

from napari_sparsessp.networks.backbones.catalogue import BACKBONES, BackboneSpec

if TYPE_CHECKING:
    from napari_sparsessp.networks.backbones.builder import (
        build_backbone as build_backbone,
    )
    from napari_sparsessp.networks.backbones.pyramid import Backbone2d as Backbone2d

__all__ = ["BACKBONES", "Backbone2d", "BackboneSpec", "build_backbone"]


def __getattr__(name: str) -> Any:
    """Load torch only when a backbone is built; the catalogue needs none."""
    if name == "build_backbone":
        from napari_sparsessp.networks.backbones.builder import build_backbone

        return build_backbone
    if name == "Backbone2d":
        from napari_sparsessp.networks.backbones.pyramid import Backbone2d

        return Backbone2d
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

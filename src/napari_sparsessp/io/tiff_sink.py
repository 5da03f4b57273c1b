"""An OME-TIFF that grows column by column, in a plain file until it is complete."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.io.caption import Caption
from napari_sparsessp.io.flat_array import FlatArray

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan


class TiffImage:
    """The image of one output while it is made.

    The header of a TIFF comes first and its provenance is known last; so the voxels
    are collected in a plain file and copied plane by plane.

    Parameters
    ----------
    folder : Path
        Where it is made.
    plan : Plan
    """

    name = "image.f32"

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.path = folder / self.name
        self._plan = plan
        self.array: Any = None

    def create(self) -> None:
        """Make it, empty."""
        self.open()

    def open(self) -> None:
        """Go on with the one there is."""
        self.array = FlatArray(self.path, self._plan.output_shape)

    def finish(self, provenance: Mapping[str, Any] | None, name: str) -> Path:
        """Write the TIFF; give where it is."""
        from napari_sparsessp.io.ome_tiff import write_ome_tiff

        path = self.path.with_name("image.tif")
        write_ome_tiff(path, self.array, Caption.of(self._plan, provenance, name))
        return path

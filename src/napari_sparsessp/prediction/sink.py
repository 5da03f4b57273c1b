"""What takes the voxels of a prediction that is not held in memory."""

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

    from napari_sparsessp.prediction.column import ColumnLayout
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.report import Scaling
    from napari_sparsessp.prediction.tiling import TileSize


class Sink(Protocol):
    """A store of columns that remembers, across runs, what it was given.

    A slot is a place on the output's time axis, 0 where it has none; a column is one
    of `ColumnLayout.columns`. Every method may raise OutputError.
    """

    @property
    def tile_size(self) -> "TileSize | None":
        """How the run was cut that is gone on with; None where it is a new one."""

    def begin(
        self,
        plan: "Plan",
        layout: "ColumnLayout",
        *,
        model: str,
        device: str,
        precision: str,
    ) -> None:
        """Make ready for a run; refuse to mix it with a different one.

        Parameters
        ----------
        plan : Plan
        layout : ColumnLayout
            The columns of each time point.
        model : str
            SHA-256 of the weights.
        device, precision : str
            What computes.
        """

    def planes_done(self, slot: int, column: int) -> int:
        """Count the planes of a column that are there already."""

    def scaling(self, slot: int) -> "Scaling | None":
        """Give the scaling that an earlier run has used for a time point."""

    def note_scaling(self, slot: int, scaling: "Scaling") -> None:
        """Remember the scaling of a time point."""

    def write(self, slot: int, column: int, first: int, planes: "np.ndarray") -> None:
        """Take the next planes of a column.

        Parameters
        ----------
        slot, column : int
        first : int
            The first of the planes: as many are there already.
        planes : ndarray
            (C, D, H, W) float32 of all that the column keeps, blended along z; not
            valid after the call.
        """

    def complete(self) -> Any:
        """All columns are there: give the output, an array that reads what is asked.

        Returns
        -------
        array-like
            Of the plan's output shape.
        """

"""What a running prediction tells. Voxels travel in the shared buffer, never here."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.report import Report

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Planned:
    """The work is cut out; `buffer` is where the voxels will appear.

    Attributes
    ----------
    plan : Plan
    buffer : ndarray or None
        float32, shape ``plan.output_shape``; shared, filled while tiles are done.
        None where the voxels go to a sink.
    """

    plan: "Plan"
    buffer: "np.ndarray | None"


@dataclass(frozen=True)
class Started:
    """The network is on its device and the input is read.

    Attributes
    ----------
    device, precision : str
    warnings : tuple of str
        How the input is unlike what the model was made for, before the first tile.
    done : int
        Tiles that an earlier run has done already.
    """

    device: str
    precision: str
    warnings: tuple[str, ...] = ()
    done: int = 0


@dataclass(frozen=True)
class TileDone:
    """One tile is in the buffer, of all structures that the network gives together.

    Attributes
    ----------
    done, total : int
        Tiles, over all time points; where each structure is a pass of its own, also
        over structures.
    time : int or None
        Index on the output's time axis; None without one.
    box : tuple of slice
        (z, y, x) in output voxels that changed.
    structures : tuple of str
    seconds_left : float
        Expected seconds until the last tile.
    scores : dict
        Structure id to the running ``{"r2", "pcc"}`` over what is done.
    """

    done: int
    total: int
    time: int | None
    box: Box
    structures: tuple[str, ...]
    seconds_left: float
    scores: dict[str, dict[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class StructureDone:
    """All tiles of this structure (at this time point) are in the buffer."""

    structure: str
    time: int | None


@dataclass(frozen=True, eq=False)
class Finished:
    """Everything is predicted and scored."""

    report: "Report"


@dataclass(frozen=True)
class PredictionCancelled:
    """The user stopped the run; the buffer keeps what was done."""

    done: int
    total: int


@dataclass(frozen=True)
class PartDone:
    """The part that was asked for is predicted; the rest can be gone on with.

    Its voxels are those of a whole prediction.

    Attributes
    ----------
    done, total : int
        Tiles of the whole.
    """

    done: int
    total: int


Event = (
    Planned
    | Started
    | TileDone
    | StructureDone
    | Finished
    | PredictionCancelled
    | PartDone
)

"""Events of a run: small, frozen, without voxels, which travel in a shared buffer."""

from dataclasses import dataclass, field

import numpy as np

from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.report import Report
from napari_sparsessp.prediction.tiling import Box


@dataclass(frozen=True, eq=False)
class Planned:
    """The work is cut out."""

    plan: Plan
    # float32, shape ``plan.output_shape``; shared, filled while tiles are done. None
    # where the voxels go to a file
    buffer: np.ndarray | None


@dataclass(frozen=True)
class Started:
    """The network is on its device and the input is read."""

    device: str
    precision: str
    # How the input is unlike what the model was made for, before the first tile
    warnings: tuple[str, ...] = ()
    done: int = 0  # Tiles that an earlier run has done already


@dataclass(frozen=True)
class Looking:
    """The network looks at the whole stack before its first tile, tile by tile."""

    done: int
    total: int


@dataclass(frozen=True)
class TileDone:
    """One tile is blended, of all structures that the network gives together."""

    # Tiles, over all time points; where each structure is a pass of its own, also over
    # structures
    done: int
    total: int
    time: int | None  # Index on the output's time axis; None without a time axis
    box: Box  # (z, y, x) in output voxels that changed
    structures: tuple[str, ...]
    seconds_left: float  # Expected until the last tile
    # Structure id to the running ``{"r2", "pcc"}`` over what is done
    scores: dict[str, dict[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class StructureDone:
    """All tiles of this structure (at this time point) are there."""

    structure: str
    time: int | None


@dataclass(frozen=True, eq=False)
class Finished:
    """Everything is predicted and scored."""

    report: Report


@dataclass(frozen=True)
class PredictionCancelled:
    """The user cancelled the run; the writer keeps what was done."""

    done: int
    total: int


@dataclass(frozen=True)
class PartDone:
    """The part that was asked for is predicted; `done` of `total` tiles of the whole.

    Its voxels are those of a whole prediction, and the rest can follow.
    """

    done: int
    total: int


Event = (
    Planned
    | Started
    | Looking
    | TileDone
    | StructureDone
    | Finished
    | PredictionCancelled
    | PartDone
)

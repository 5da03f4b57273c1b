"""One row of the table of structures, its columns and what they mean."""

from dataclasses import dataclass
from enum import IntEnum

from napari_sparsessp.structures import Structure

DEFAULT_VISIBLE = ("dna", "cell_membrane", "mitochondria")
"""Shown at first where many are predicted: twelve colours at once tell nothing."""

FEW = 4


class Column(IntEnum):
    """Columns of the table."""

    NAME = 0
    VISIBLE = 1
    SPREAD = 2
    TRUTH = 3
    R2 = 4


@dataclass
class Row:
    """One structure.

    Attributes
    ----------
    structure : Structure
    ticked : bool
        Whether it is to be predicted.
    visible : bool
        Whether its layers are shown.
    truth : str or None
        Key of the layer that holds its ground truth.
    chosen : bool
        The user chose `truth`: names no longer decide.
    scores : dict
        Running ``r2`` and ``pcc``; None where undefined.
    spread : bool or None
        Whether the layer of its uncertainty is shown; None where there is none.
    doubts : tuple of str
        How the input was unlike what the model was made for.
    """

    structure: Structure
    ticked: bool = True
    visible: bool = True
    truth: str | None = None
    chosen: bool = False
    scores: dict[str, float | None] | None = None
    spread: bool | None = None
    doubts: tuple[str, ...] = ()


TIPS = {
    Column.NAME: "Tick what is to be predicted.",
    Column.VISIBLE: "Show or hide this structure's layers (V).",
    Column.SPREAD: "Show or hide how far off the prediction may be: a layer of the "
    "standard deviation (U).",
    Column.TRUTH: "A layer that shows the real structure. Choose one and R² is "
    "computed while the prediction runs.",
    Column.R2: "R² over all predicted voxels against the z-scored truth: 1 is perfect, "
    "0 is no better than a flat grey image, below 0 is worse than that.",
}
HEADERS = {
    Column.NAME: "Structure",
    Column.VISIBLE: "",
    Column.SPREAD: "±",
    Column.TRUTH: "Truth layer",
    Column.R2: "R²",
}

"""One row of the table of structures, its columns and what they mean."""

from dataclasses import dataclass
from enum import IntEnum

from napari_sparsessp.structures import Structure
from napari_sparsessp.ui.inputs.card_quality import Quality, r2_text

FEW = 4


class Column(IntEnum):
    """Columns of the table."""

    NAME = 0
    VISIBLE = 1
    SPREAD = 2
    TRUTH = 3
    EXPECTED = 4
    R2 = 5
    PCC = 6


NUMBERS = (Column.EXPECTED, Column.R2, Column.PCC)


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
    expected : Quality or None
        What the model's card promises.
    """

    structure: Structure
    ticked: bool = True
    visible: bool = True
    truth: str | None = None
    chosen: bool = False
    scores: dict[str, float | None] | None = None
    spread: bool | None = None
    doubts: tuple[str, ...] = ()
    expected: Quality | None = None

    def number(self, column: Column) -> float | None:
        """Value of one of the columns `NUMBERS`; None where nothing is known."""
        if column is Column.EXPECTED:
            return None if self.expected is None else self.expected.r2
        key = {Column.R2: "r2", Column.PCC: "pcc"}[column]
        return None if self.scores is None else self.scores.get(key)

    def text(self, column: Column, truth: str) -> str | None:
        """What a cell says; `truth` is the name of the truth layer."""
        if column is Column.NAME:
            return self.structure.label
        if column is Column.TRUTH:
            return truth
        if column in NUMBERS:
            value = self.number(column)
            # what was measured on other images says little of an unfamiliar one
            doubt = "?" if column is Column.EXPECTED and self.doubts else ""
            return "" if value is None else r2_text(value) + doubt
        return None

    def tip(self, column: Column, explained: str) -> str:
        """What a cell's tool tip says, before what the column means."""
        if column is Column.NAME:
            known = [self.structure.protein, self.structure.cell_line]
            title = " · ".join([self.structure.label, *filter(None, known)])
            doubts = ["Unfamiliar input:", *self.doubts] if self.doubts else []
            return "\n".join([title, *doubts, explained])
        if column is Column.EXPECTED:
            if self.expected is None:
                return f"The model's card says nothing of it here.\n{explained}"
            value = r2_text(self.expected.r2)
            told = f"R² {value} on {self.expected.measured_on}."
            if self.doubts:
                told += " This stack is unlike those images: expect less."
            return f"{told}\n{explained}"
        if column in (Column.R2, Column.PCC) and self.scores:
            numbers = [
                f"{word} {r2_text(value)}"
                for word, value in (
                    ("R²", self.number(Column.R2)),
                    ("PCC", self.number(Column.PCC)),
                    ("expected R²", self.number(Column.EXPECTED)),
                )
                if value is not None
            ]
            return "\n".join([", ".join(numbers), explained])
        return explained


TIPS = {
    Column.NAME: "Tick what is to be predicted.",
    Column.VISIBLE: "Show or hide this structure's layers (V).",
    Column.SPREAD: "Show or hide how far off the prediction may be: a layer of the "
    "standard deviation (U).",
    Column.TRUTH: "A layer that shows the real structure. Choose one and R² is "
    "computed while the prediction runs.",
    Column.EXPECTED: "The R² that this model reached at this sampling, on the images "
    "that its card names. Other images may fare worse: compare with a truth.",
    Column.R2: "R² over all predicted voxels against the z-scored truth: 1 is perfect, "
    "0 is no better than a flat grey image, below 0 is worse than that.",
    Column.PCC: "Pearson's correlation with the truth: 1 where both rise and fall "
    "together, whatever their brightness.",
}
HEADERS = {
    Column.NAME: "Structure",
    Column.VISIBLE: "",
    Column.SPREAD: "±",
    Column.TRUTH: "Truth",
    Column.EXPECTED: "Expected",
    Column.R2: "R²",
    Column.PCC: "PCC",
}
SHORT = {Column.EXPECTED: "Exp."}

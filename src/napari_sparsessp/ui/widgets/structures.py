"""The table of structures: tick, colour, eyes, truth layer and scores."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent

from napari_sparsessp.structures import Structure, match_channel, structure_or_custom
from napari_sparsessp.ui.layers.metadata import DEFAULT_VISIBLE, channel_part
from napari_sparsessp.ui.preferences import preference_news, preferences
from napari_sparsessp.ui.widgets.basic import Mark
from napari_sparsessp.ui.widgets.card_text import Quality, r2_text
from napari_sparsessp.ui.widgets.table import Column, Kind, RowsModel, RowsOrder
from napari_sparsessp.ui.widgets.table_view import RowsView, toggle

FEW = 4  # so many structures are all shown at first

_NAME = "Tick what is to be predicted."
_EXPECTED = (
    "The R² that this model reached at this sampling, on the images that its card "
    "names. Other images may fare worse: compare with a truth."
)
_R2 = (
    "R² over all predicted voxels against the z-scored truth: 1 is perfect, 0 is no "
    "better than a flat grey image, below 0 is worse than that."
)
_PCC = (
    "Pearson's correlation with the truth: 1 where both rise and fall together, "
    "whatever their brightness."
)


@dataclass
class StructureRow:
    """One structure."""

    structure: Structure
    ticked: bool = True
    visible: bool = True
    truth: str | None = None  # key of its layer
    chosen: bool = False  # the truth, by the user: names no longer decide
    scores: dict[str, float | None] | None = None
    spread: bool | None = None  # whether the uncertainty is shown
    doubts: tuple[str, ...] = ()
    expected: Quality | None = None

    def score(self, key: str) -> float | None:
        """Return ``r2`` or ``pcc``, or None."""
        return None if self.scores is None else self.scores.get(key)

    @property
    def expected_r2(self) -> float | None:
        """R² in the model's card."""
        return None if self.expected is None else self.expected.r2

    def expected_text(self) -> str:
        """Return R² in the card, doubted where the input is unfamiliar."""
        doubt = "?" if self.doubts else ""
        return "" if self.expected is None else r2_text(self.expected.r2) + doubt

    def expected_tip(self) -> str:
        """Return on which images the expected quality was measured."""
        if self.expected is None:
            return f"No scores recorded for this structure.\n{_EXPECTED}"
        cells = f" ({self.expected.cells})" if self.expected.cells else ""
        where = f"{self.expected.measured_on}{cells}"
        measured = f"R² {r2_text(self.expected.r2)} on {where}."
        if self.doubts:
            measured += " This stack is unlike those images: expect less."
        return f"{measured}\n{_EXPECTED}"

    def score_tip(self, meaning: str) -> str:
        """Return all scores, and what one of them means."""
        names = ("R²", "PCC", "R² on test cells")
        values = self.score("r2"), self.score("pcc"), self.expected_r2
        pairs = zip(names, values, strict=True)
        scores = [f"{name} {r2_text(v)}" for name, v in pairs if v is not None]
        return f"{', '.join(scores)}\n{meaning}" if self.scores and scores else meaning


def _score_column(key: str, title: str, tip: str, **more: Any) -> Column:
    def text(row: StructureRow) -> str:
        value = row.score(key)
        return "" if value is None else r2_text(value)

    return Column(
        key,
        title,
        text,
        tip,
        value=lambda row: row.score(key),
        cell_tip=lambda row: row.score_tip(tip),
        sortable=True,
        descending=True,
        sample="\u22120.00",
        shown=lambda rows: any(row.scores for row in rows),
        **more,
    )


_SCORES = (
    # a notch on the bar of R² shows what was expected, tool tips say both
    Column(
        "expected",
        "R² on test cells",
        StructureRow.expected_text,
        _EXPECTED,
        kind=Kind.NUMBER,
        value=lambda row: row.expected_r2,
        cell_tip=StructureRow.expected_tip,
        ink=lambda _row: "muted",
        sortable=True,
        descending=True,
        short="Test R²",
        gives_way=2,
        shown=lambda rows: any(row.expected is not None for row in rows),
    ),
    _score_column(
        "r2",
        "R²",
        _R2,
        kind=Kind.BAR,
        ink=lambda row: "bad" if (row.score("r2") or 1) <= 0 else None,
        notch=lambda row: row.expected_r2,
    ),
    _score_column("pcc", "PCC", _PCC, kind=Kind.NUMBER, gives_way=1),
)


class StructureModel(RowsModel):
    """Tick, visibility, truth layer and live scores of each structure."""

    choice_changed = Signal()
    visibility_changed = Signal(str, bool)
    spread_changed = Signal(str, bool)
    truth_chosen = Signal(str, object)
    unlocked = Signal()

    def __init__(self) -> None:
        self.layers: list[tuple[str, str]] = []
        self._strangers: Collection[str] = ()
        self._locked = False
        super().__init__(self._declare(), key=lambda row: row.structure.id)
        preference_news().changed.connect(self.refresh)

    def _declare(self) -> tuple[Column, ...]:
        return (
            Column(
                "name",
                "Structure",
                lambda row: row.structure.label,
                _NAME,
                kind=Kind.CHECK,
                cell_tip=self._name_tip,
                checked=lambda row: row.ticked,
                set_checked=self._set_ticked,
                can_edit=lambda _row: not self._locked,
                colour=lambda row: QColor(preferences().colour(row.structure.id)),
                mark=lambda row: Mark.WARN if row.doubts else None,
                sortable=True,
            ),
            Column(
                "visible",
                "",
                tip="Show or hide this structure's layers (V).",
                kind=Kind.EYE,
                checked=lambda row: row.visible,
                set_checked=lambda row, on: self.set_visible(row.structure.id, on),
            ),
            Column(
                "spread",
                "±",
                tip="Show or hide how far off the prediction may be: a layer of the "
                "standard deviation (U).",
                kind=Kind.EYE,
                checked=lambda row: row.spread,
                set_checked=lambda row, on: self.set_spread(row.structure.id, on),
                shown=lambda rows: any(row.spread is not None for row in rows),
            ),
            Column(
                "truth",
                "Truth",
                lambda row: self.layer_name(row.truth),
                "A layer that shows the real structure. Choose one and R² is computed "
                "while the prediction runs.",
                kind=Kind.CHOICE,
                chosen=lambda row: row.truth,
                choices=lambda _row: [(None, "– no truth –"), *self.layers],
                choose=self._on_truth,
                can_edit=lambda _row: not self._locked,
                sample="a truth layer",
                elide=Qt.TextElideMode.ElideMiddle,  # names differ at both ends
                narrow=36,
            ),
            *_SCORES,
        )

    def set_structures(self, ids: Sequence[str], cost: str = "") -> None:
        """Offer these structures; choices for those that stay are kept."""
        shown = ids if len(ids) <= FEW else DEFAULT_VISIBLE
        rows = [
            self.row(id_)
            or StructureRow(structure_or_custom(id_), visible=id_ in shown)
            for id_ in ids
        ]
        if not any(row.visible for row in rows):
            for row in rows[:FEW]:
                row.visible = True
        name = replace(self.columns[0], tip=f"{_NAME} {cost}".strip())
        self.columns = (name, *self.columns[1:])
        self.set_rows(rows)
        self._match()

    def set_layers(
        self, layers: Sequence[tuple[str, str]], strangers: Collection[str] = ()
    ) -> None:
        """Offer layers, as (key, name), that may hold a truth.

        Those of other stacks (`strangers`) are no truth by their names alone.
        """
        self.layers, self._strangers = list(layers), strangers
        self._match()

    def forget_truths(self) -> None:
        """Let names decide again: another stack is chosen."""
        for row in self.rows:
            row.chosen = False

    def set_scores(self, scores: Mapping[str, Mapping[str, Any]]) -> None:
        """Show live scores of some structures."""
        for row in self.rows:
            if (score := scores.get(row.structure.id)) is not None:
                row.scores = {key: score.get(key) for key in ("r2", "pcc")}
        self.refresh()

    def clear_scores(self) -> None:
        """Forget all scores."""
        for row in self.rows:
            row.scores = None
        self.refresh()

    def set_expected(self, expected: Mapping[str, Quality | None]) -> None:
        """Show the quality in the model's card, by structure."""
        for row in self.rows:
            row.expected = expected.get(row.structure.id)
        self.refresh()

    def set_spreads(self, shown: Mapping[str, bool]) -> None:
        """Set which structures have a layer of uncertainty, and which are shown."""
        for row in self.rows:
            row.spread = shown.get(row.structure.id)
        self.refresh()

    def set_doubts(self, doubts: Mapping[str, Sequence[str]]) -> None:
        """Mark structures whose input was unlike the training data, and say why."""
        for row in self.rows:
            row.doubts = tuple(doubts.get(row.structure.id, ()))
        self.refresh()

    def set_locked(self, locked: bool) -> None:
        """Forbid everything but visibility while a prediction runs."""
        freed = self._locked and not locked
        self._locked = locked
        self.refresh()
        if freed:
            self.unlocked.emit()

    def ticked(self) -> tuple[str, ...]:
        """Return the ids of the structures to predict."""
        return tuple(row.structure.id for row in self.rows if row.ticked)

    def visible(self) -> tuple[str, ...]:
        """Return the ids of the structures that are shown."""
        return tuple(row.structure.id for row in self.rows if row.visible)

    def truths(self) -> dict[str, str]:
        """Return the truth layer's key by structure, for the ticked ones."""
        ticked = (row for row in self.rows if row.ticked)
        return {row.structure.id: row.truth for row in ticked if row.truth is not None}

    def insisted(self) -> frozenset[str]:
        """Return the ids of the structures whose truth the user chose by hand."""
        return frozenset(row.structure.id for row in self.rows if row.chosen)

    def spreads(self) -> tuple[str, ...]:
        """Return the ids of the structures whose uncertainty is shown."""
        return tuple(row.structure.id for row in self.rows if row.spread)

    def layer_name(self, key: str | None) -> str:
        """Return the name of a truth layer; a dash for none."""
        return dict(self.layers).get(key or "", "–")

    def tick(self, ids: Iterable[str] | None) -> None:
        """Tick these and no others; None ticks all."""
        if self._locked:
            return
        wanted = None if ids is None else set(ids)
        for row in self.rows:
            row.ticked = wanted is None or row.structure.id in wanted
        self.refresh()
        self.choice_changed.emit()

    def set_visible(self, id_: str, visible: bool, *, tell: bool = True) -> None:
        """Show or hide a structure; emit `visibility_changed` if `tell`."""
        row = self.row(id_)
        if row is not None and row.visible != visible:
            row.visible = visible
            self.refresh()
            if tell:
                self.visibility_changed.emit(id_, visible)

    def set_spread(self, id_: str, shown: bool, *, tell: bool = True) -> None:
        """Show or hide the uncertainty of a structure, where there is one."""
        row = self.row(id_)
        if row is not None and row.spread not in (None, shown):
            row.spread = shown
            self.refresh()
            if tell:
                self.spread_changed.emit(id_, shown)

    def choose_truth(self, number: int, key: str | None) -> None:
        """Let a layer (or none) be the truth of a row, whatever its name."""
        self._on_truth(self.rows[number], key)

    def take_truths(self, layers: Sequence[tuple[str, str]]) -> None:
        """Let opened layers, as (key, name), be truths of what they are named by."""
        names = [channel_part(name) for _, name in layers]
        alone = len(layers) == len(self.rows) == 1
        for number, row in enumerate(self.rows):
            place = 0 if alone else match_channel(row.structure, names)
            if place is not None:
                self.choose_truth(number, layers[place][0])

    def _on_truth(self, row: StructureRow, key: str | None) -> None:
        row.truth, row.chosen, row.scores = key, True, None
        self.refresh()
        self.truth_chosen.emit(row.structure.id, key)
        self.choice_changed.emit()

    def _set_ticked(self, row: StructureRow, on: bool) -> None:
        row.ticked = on
        self.choice_changed.emit()

    def _name_tip(self, row: StructureRow) -> str:
        origin = [row.structure.label, row.structure.protein, row.structure.cell_line]
        doubts = ["Unfamiliar input:", *row.doubts] if row.doubts else []
        title = " · ".join(filter(None, origin))
        return "\n".join([title, *doubts, self.columns[0].tip])

    def _match(self) -> None:
        """Find truth layers by name, where the user has not chosen one."""
        own = [one for one in self.layers if one[0] not in self._strangers]
        names = [channel_part(name) for _, name in own]
        before = self.truths()
        for row in self.rows:
            if row.truth is not None and row.truth not in dict(self.layers):
                row.truth, row.chosen = None, False
            if not row.chosen:
                place = match_channel(row.structure, names)
                row.truth = None if place is None else own[place][0]
        self.refresh()
        if self.truths() != before:
            self.choice_changed.emit()


class StructureTable(RowsView):
    """View of a `StructureModel`; V shows or hides, U does so with the uncertainty."""

    def __init__(self, model: StructureModel) -> None:
        order = RowsOrder(model)
        super().__init__(order, "Structures", pale=lambda row: not row.ticked)
        self.structures = model
        self.setAccessibleDescription(
            "Space ticks, V shows or hides, U shows the uncertainty, Enter chooses the "
            "truth, S sorts."
        )
        model.unlocked.connect(order.settle)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Show and hide without a mouse."""
        eyes = {Qt.Key.Key_V: "visible", Qt.Key.Key_U: "spread"}
        index, eye = self.currentIndex(), eyes.get(Qt.Key(event.key()))
        if index.isValid() and eye is not None:
            toggle(index.siblingAtColumn(self.rows_model.column(eye)))
        else:
            super().keyPressEvent(event)

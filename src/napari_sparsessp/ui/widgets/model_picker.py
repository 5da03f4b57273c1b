"""Choose a model, those that fit the stack first, or a topology by its diagram."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from qtpy.QtCore import QByteArray, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import QAbstractButton, QButtonGroup, QPushButton, QWidget

from napari_sparsessp.models.card import made_for
from napari_sparsessp.ui.widgets.basic import (
    ElidingComboBox,
    in_a_column,
    in_a_row,
    small_label,
)
from napari_sparsessp.ui.widgets.card_text import (
    TOPOLOGIES,
    Quality,
    cost_words,
    is_pass_each,
    r2_text,
    ratios_text,
    title_of,
)
from napari_sparsessp.ui.widgets.fit import Fit, fit_of
from napari_sparsessp.ui.widgets.style import (
    Tones,
    draw_button_frame,
    duration_text,
    mix,
)

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.ui.layers.reading import LayerReading

_DIAGRAM = QSize(62, 30)
# colours of the files, in place of which the theme's are put
_INK, _FILL = "#404040", "#0b6bb0"
_LARGE, _SMALL = 9.0, 8.0
_SHORT = {"simulated": "sim.", "real": "real"}


@cache
def _diagram(topology: str) -> str:
    return files(__package__).joinpath("icons", f"{topology}.svg").read_text("utf-8")


def _draw_diagram(
    painter: QPainter, area: QRectF, topology: str, ink: QColor, fill: QColor
) -> None:
    place = QRectF(0, 0, _DIAGRAM.width(), _DIAGRAM.height())
    place.moveCenter(area.center())
    svg = _diagram(topology).replace(_INK, ink.name()).replace(_FILL, fill.name())
    QSvgRenderer(QByteArray(svg.encode())).render(painter, place)


class TopologyDrawing(QWidget):
    """The diagram of one topology, to look at."""

    def __init__(self) -> None:
        super().__init__()
        self.topology = ""
        self.setFixedSize(_DIAGRAM)

    def set_topology(self, topology: str) -> None:
        """Draw this topology; nothing for one without a diagram."""
        self.topology = topology if topology in TOPOLOGIES else ""
        label, what = TOPOLOGIES.get(self.topology, ("", ""))
        self.setToolTip(f"{label}: {what}." if label else "")
        self.setAccessibleName(f"Topology {label}")
        self.update()

    def paintEvent(self, _event: object) -> None:
        """Draw the diagram."""
        if self.topology:
            tones = Tones.of(self)
            painter, area = QPainter(self), QRectF(self.rect())
            _draw_diagram(painter, area, self.topology, tones.text, tones.accent)


class TopologyButton(QAbstractButton):
    """A diagram with its name, and how good and fast it would be."""

    def __init__(self, topology: str) -> None:
        super().__init__()
        self.topology = topology
        self.label = TOPOLOGIES[topology][0]
        self.setCheckable(True)
        self.setMinimumWidth(_DIAGRAM.width())
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.set_prospect("", "", 0)

    def set_prospect(self, quality: str, time: str, rows: int = 2) -> None:
        """Show quality and time below the name, in the room of so many rows."""
        self._lines, self._rows = [line for line in (quality, time) if line], rows
        self.setAccessibleName(", ".join([f"Topology {self.label}", *self._lines]))
        self.updateGeometry()
        self.update()

    def _font(self, points: float, *, bold: bool = False) -> QFont:
        """Return a font that is larger where the user wants all text larger."""
        font = QFont(self.font())
        font.setPointSizeF(points * max(1.0, font.pointSizeF() / _LARGE))
        font.setBold(bold)
        return font

    def sizeHint(self) -> QSize:
        """Return room for a diagram, its name and the lines below."""
        name, line = (
            QFontMetrics(self._font(size)).height() for size in (_LARGE, _SMALL)
        )
        return QSize(76, _DIAGRAM.height() + 12 + name + self._rows * line)

    def minimumSizeHint(self) -> QSize:
        """Never cut a line."""
        return QSize(_DIAGRAM.width(), self.sizeHint().height())

    def paintEvent(self, _event: object) -> None:
        """Draw frame, diagram and texts."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tones = Tones.of(self)
        on, able = self.isChecked(), self.isEnabled()
        edge = mix(tones.back, tones.accent, 1.0 if able else 0.5)
        frame = draw_button_frame(painter, self, tones, edge)
        ink = tones.text if able else mix(tones.back, tones.text, 0.34)
        fill = tones.accent if on and able else mix(tones.back, ink, 0.45)
        row = QRectF(frame.left(), frame.top(), frame.width(), 38)
        _draw_diagram(painter, row, self.topology, ink, fill)
        row.moveTop(row.bottom() - 3)
        painter.setFont(self._font(_LARGE, bold=on and able))
        painter.setPen(ink)
        self._draw_line(painter, row, self.label)
        painter.setFont(self._font(_SMALL))
        painter.setPen(tones.text if on and able else tones.muted)
        for line in self._lines:
            self._draw_line(painter, row, line)

    def _draw_line(self, painter: QPainter, row: QRectF, text: str) -> None:
        row.setHeight(painter.fontMetrics().height())
        painter.drawText(row, Qt.AlignmentFlag.AlignCenter, text)
        row.moveTop(row.bottom())


IMPORT, GALLERY = "\0import", "\0gallery"  # of the last entries; no id looks so


class TopologyPicker(QWidget):
    """Four diagrams; those that no model serves are off and say why."""

    changed = Signal()
    import_asked = Signal()
    gallery_asked = Signal()
    info_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cards: list[ModelCard] = []
        self._fits: dict[str, Fit] = {}
        self._chosen: ModelCard | None = None
        self._group = QButtonGroup(self)
        self.buttons = {topology: TopologyButton(topology) for topology in TOPOLOGIES}
        for button in self.buttons.values():
            self._group.addButton(button)
        self.model_box = ElidingComboBox()
        self.model_box.setAccessibleName("Model")
        self.model_box.setPlaceholderText("no model of this kind")
        self.info_button = QPushButton("i")
        self.info_button.setProperty("role", "info")
        self.info_button.setAccessibleName("About this model")
        self.info_button.setToolTip(
            "What this model predicts, what it was trained on, how it scored and "
            "where it must not be trusted; also where its file is."
        )
        self.note = small_label()
        buttons = in_a_row(*self.buttons.values(), stretched=4)
        model = in_a_row(self.model_box, self.info_button)
        in_a_column(self, buttons, model, self.note)
        self.model_box.view().setTextElideMode(Qt.TextElideMode.ElideNone)
        self._group.buttonClicked.connect(self._on_topology)
        self.model_box.activated.connect(self._on_model)
        self.info_button.clicked.connect(self.info_asked)
        self.set_cards([])

    def set_cards(self, cards: "Sequence[ModelCard]", default: str = "") -> None:
        """Offer these models; of several with the same id the first one counts."""
        first = {card.id: card for card in reversed(cards)}
        self._cards = [card for card in cards if first[card.id] is card]
        self._chosen = None
        served = self.served()
        for topology, button in self.buttons.items():
            label, what = TOPOLOGIES[topology]
            button.setEnabled(topology in served)
            button.setToolTip(
                _prospect_tip(served[topology], None, None)
                if topology in served
                else f"{label}: {what}.\nNot available: no installed model has it. "
                "Import one that has."
            )
        self.set_card(first.get(default) or next(iter(self._cards), None))

    def card(self) -> "ModelCard | None":
        """Return the card of the chosen model."""
        return self._chosen

    def model_id(self) -> str:
        """Return the id of the chosen model; "" where there is none."""
        return "" if self._chosen is None else self._chosen.id

    def served(self) -> "dict[str, ModelCard]":
        """Return the card that each topology stands for: the chosen, or its first."""
        served: dict[str, ModelCard] = {}
        for card in (*filter(None, [self._chosen]), *self._ranked()):
            served.setdefault(card.topology, card)
        return served

    def show_prospects(
        self, prospects: Mapping[str, tuple[Quality | None, float | None]]
    ) -> None:
        """Show on the diagrams their expected quality and seconds, by topology."""
        served = self.served()
        # all diagrams keep room for what one of them says
        rows = sum(
            any(pair[place] is not None for pair in prospects.values())
            for place in (0, 1)
        )
        # scores on real and on simulated cells look alike, and must not be compared
        cells = {pair[0].cells for pair in prospects.values() if pair[0] is not None}
        for topology, button in self.buttons.items():
            quality, seconds = prospects.get(topology, (None, None))
            kind = "" if quality is None else quality.cells.split(" ")[0]
            suffix = f" {_SHORT.get(kind, '')}".rstrip() if len(cells) > 1 else ""
            button.set_prospect(
                "" if quality is None else f"R² {r2_text(quality.r2)}{suffix}",
                "" if seconds is None else f"≈ {duration_text(max(seconds, 1.5))}",
                rows,
            )
            if topology in served:
                button.setToolTip(_prospect_tip(served[topology], quality, seconds))

    def set_card(self, card: "ModelCard | None") -> None:
        """Choose a model without emitting `changed`."""
        if card is not None:
            self.buttons[card.topology].setChecked(True)
        box, tip = self.model_box, Qt.ItemDataRole.ToolTipRole
        box.clear()
        for one in self._ranked():
            fit = self._fits.get(one.id, Fit())
            told = fit.points > 0 and fit.why and one is not card
            fits = f" · fits: {fit.why}" if told else ""
            box.addItem(f"{_title(one)} · {TOPOLOGIES[one.topology][0]}{fits}", one.id)
            box.setItemData(box.count() - 1, _tip(one), tip)
        box.view().setMinimumWidth(box.view().sizeHintForColumn(0) + 8)
        box.insertSeparator(box.count())
        box.addItem("Get a published model…", GALLERY)
        box.setItemData(
            box.count() - 1,
            "Show the gallery: networks that others trained on real cells.",
            tip,
        )
        box.addItem("Import a checkpoint…", IMPORT)
        box.setItemData(
            box.count() - 1,
            "Use published weights: RepMode, SparseSSP, pytorch_fnet or VisCy. A file "
            "can also be dropped onto this dock.",
            tip,
        )
        self._choose(card)

    def show_fit(
        self, reading: "LayerReading | None", channel: int | None, others: Sequence[str]
    ) -> None:
        """List models that fit a stack first; `others` are names of its truths."""
        fits = (
            {}
            if reading is None
            else {
                card.id: fit_of(card, reading, channel, others) for card in self._cards
            }
        )
        if fits != self._fits:
            self._fits = fits
            self.set_card(self._chosen)

    def _ranked(self) -> "list[ModelCard]":
        return sorted(
            self._cards, key=lambda card: -self._fits.get(card.id, Fit()).points
        )

    def _choose(self, card: "ModelCard | None") -> None:
        self._chosen = card
        row = -1 if card is None else self.model_box.findData(card.id)
        self.model_box.setCurrentIndex(row)
        self.note.setText(self._note(card))
        tip = "Choose a model, or import one." if card is None else _tip(card)
        self.model_box.setToolTip(tip)
        self.note.setToolTip(tip)
        self.info_button.setEnabled(card is not None)

    def _note(self, card: "ModelCard | None") -> str:
        """Say what everybody has to know before running."""
        if card is None:
            return (
                "No model is installed. Import a checkpoint, or reinstall "
                "napari-sparsessp."
            )
        best, own = self._ranked()[0], self._fits.get(card.id, Fit())
        fit = self._fits.get(best.id, Fit())
        lines = [f"{best.name} fits better: {fit.why}."]
        if fit.points <= max(own.points, 0):
            lines = []
        lines += [f"Made for {purpose}."] if (purpose := made_for(card)) else []
        lines += [cost_words(card)] if is_pass_each(card) else []
        if card.limits:  # of the first limit the part that says something by itself
            head = card.limits[0].split(":")[0]
            short = head if len(head.split()) > 2 else card.limits[0]
            lines.append(short.rstrip(".") + ".")
        missing = [b.label for b in self.buttons.values() if not b.isEnabled()]
        if missing:
            lines.append(f"{', '.join(missing)}: no installed model; import one.")
        return "\n".join(lines)

    def _on_topology(self, button: TopologyButton) -> None:
        same = (card for card in self._ranked() if card.topology == button.topology)
        self.set_card(next(same, None))
        self.changed.emit()

    def _on_model(self, _index: int) -> None:
        key = self.model_box.currentData()
        if key in (IMPORT, GALLERY):  # an action, not a choice
            self._choose(self._chosen)
            (self.import_asked if key == IMPORT else self.gallery_asked).emit()
        elif key != self.model_id():
            self.set_card(next(card for card in self._cards if card.id == key))
            self.changed.emit()


def _prospect_tip(
    card: "ModelCard", quality: Quality | None, seconds: float | None
) -> str:
    label, what = TOPOLOGIES[card.topology]
    lines = [f"{label}: {what}.", f"Model: {card.name}."]
    if quality is not None:
        lines.append(
            f"R² {r2_text(quality.r2)}: mean of the ticked structures at this ratio, "
            f"measured on {quality.measured_on}."
        )
        if quality.cells:
            lines.append(f"Compare it only with R² on {quality.cells}.")
    if seconds is not None:
        lines.append(f"{duration_text(seconds)} for this stack on this machine.")
    return "\n".join(lines)


def _title(card: "ModelCard") -> str:
    """Return name and version; an imported model has no version."""
    if card.members:
        return title_of(card)
    if card.version == "imported":
        return f"{card.name} (imported)"
    return f"{card.name} {card.version}".strip()


def _tip(card: "ModelCard") -> str:
    lines = [
        f"{_title(card)}, id {card.id}",
        f"Trained on: {card.trained_on}",
        f"Made for {ratios_text(card.ratios)}, {card.modality} images",
        f"Licence: {card.licence}",
    ]
    lines += [f"Limit: {limit}" for limit in card.limits]
    return "\n".join(lines)

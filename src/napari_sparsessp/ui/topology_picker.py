"""Choose a topology from small diagrams, and one of the models that have it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_sparsessp.ui.theme import Tones, mix

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard

TOPOLOGIES = {
    "3d": ("3D", "sees and writes whole volumes: slow, most detail along z"),
    "2d": ("2D", "planes go through as channels: fastest, least aware of depth"),
    "2to3d": ("2D → 3D", "a flat encoder, a solid decoder: writes volumes"),
    "3to2d": (
        "3D → 2D",
        "a solid encoder sees depth, a flat decoder writes all planes at once: "
        "nearly the quality of 3D at a fraction of its time",
    ),
}


class TopologyButton(QAbstractButton):
    """A diagram of encoder and decoder: a cube is 3D, a sheet is 2D."""

    def __init__(self, topology: str) -> None:
        super().__init__()
        self.topology = topology
        self.label = TOPOLOGIES[topology][0]
        self.setCheckable(True)
        self.setMinimumWidth(62)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(f"Topology {self.label}")

    def sizeHint(self) -> QSize:
        """Give room for a diagram and its name."""
        return QSize(76, 62)

    def paintEvent(self, _event: object) -> None:
        """Draw frame, diagram and name."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tones = Tones.of(self)
        on, able = self.isChecked(), self.isEnabled()
        frame = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        back = mix(tones.back, tones.accent, 0.22) if on else tones.panel
        if self.underMouse() and able and not on:
            back = tones.field
        edge = mix(tones.back, tones.accent, 1.0 if able else 0.5)
        edge = edge if on else tones.panel
        if self.hasFocus():
            edge = tones.text
        painter.setPen(QPen(edge, 1.6 if on or self.hasFocus() else 1.0))
        painter.setBrush(back)
        painter.drawRoundedRect(frame, 5, 5)
        ink = tones.text if able else mix(tones.back, tones.text, 0.34)
        fill = tones.accent if on and able else mix(tones.back, ink, 0.45)
        middle, y = frame.center().x(), frame.top() + 21
        first, second = _dimensions(self.topology)
        _draw_block(painter, QPointF(middle - 17, y), first, ink, fill)
        _draw_block(painter, QPointF(middle + 17, y), second, ink, fill)
        painter.setPen(QPen(ink, 1.3))
        painter.drawLine(QPointF(middle - 3, y), QPointF(middle + 3, y))
        painter.drawPolyline(
            [
                QPointF(middle + 0.5, y - 2.6),
                QPointF(middle + 3.2, y),
                QPointF(middle + 0.5, y + 2.6),
            ]
        )
        font = QFont(self.font())
        font.setPointSizeF(9.0)
        font.setBold(on and able)
        painter.setFont(font)
        painter.drawText(
            frame.adjusted(0, 0, 0, -4),
            Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom,
            self.label,
        )


def _dimensions(topology: str) -> tuple[int, int]:
    return {"3d": (3, 3), "2d": (2, 2), "2to3d": (2, 3), "3to2d": (3, 2)}[topology]


def _draw_block(
    painter: QPainter, centre: QPointF, dimension: int, ink: QColor, fill: QColor
) -> None:
    """Draw a cube for three dimensions, a tilted sheet for two."""
    x, y = centre.x(), centre.y()
    w, h = 10.0, 5.2
    painter.setPen(QPen(ink, 1.1))

    def sheet(level: float) -> QPolygonF:
        return QPolygonF(
            [
                QPointF(x - w, y + level),
                QPointF(x, y - h + level),
                QPointF(x + w, y + level),
                QPointF(x, y + h + level),
            ]
        )

    if dimension == 2:
        painter.setBrush(fill)
        painter.drawPolygon(sheet(0))
        return
    tall = 9.0
    side = QColor(fill)
    for level in (tall / 2,):
        painter.setBrush(side.darker(125))
        painter.drawPolygon(
            QPolygonF(
                [
                    QPointF(x - w, y - level),
                    QPointF(x, y + h - level),
                    QPointF(x, y + h + level),
                    QPointF(x - w, y + level),
                ]
            )
        )
        painter.setBrush(side.darker(150))
        painter.drawPolygon(
            QPolygonF(
                [
                    QPointF(x + w, y - level),
                    QPointF(x, y + h - level),
                    QPointF(x, y + h + level),
                    QPointF(x + w, y + level),
                ]
            )
        )
        painter.setBrush(side)
        painter.drawPolygon(sheet(-level))


class TopologyPicker(QWidget):
    """Four diagrams; those that no model serves are off and say why.

    `changed` is emitted when the user picks another topology or model.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cards: list[ModelCard] = []
        self._group = QButtonGroup(self)
        self.buttons: dict[str, TopologyButton] = {}
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        for topology in TOPOLOGIES:
            button = TopologyButton(topology)
            self._group.addButton(button)
            self.buttons[topology] = button
            row.addWidget(button, 1)
        self.model_box = QComboBox()
        self.model_box.setToolTip("Models that have this topology")
        self.model_box.setAccessibleName("Model")
        self.model_box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.name = QElidingLabel("")
        self.name.setProperty("role", "strong")
        self.note = QLabel("")
        self.note.setProperty("role", "small")
        self.note.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addLayout(row)
        column.addWidget(self.model_box)
        column.addWidget(self.name)
        column.addWidget(self.note)
        self._group.buttonClicked.connect(self._on_topology)
        self.model_box.activated.connect(self._on_model)
        self.set_cards([])

    def set_cards(self, cards: "Sequence[ModelCard]", default: str = "") -> None:
        """Offer these models.

        Parameters
        ----------
        cards : sequence of ModelCard
        default : str
            Id of the one to choose; the first one where there is none of that id.
        """
        self._cards = list(cards)
        served = {card.topology for card in cards}
        for topology, button in self.buttons.items():
            label, what = TOPOLOGIES[topology]
            button.setEnabled(topology in served)
            if topology in served:
                names = ", ".join(c.name for c in cards if c.topology == topology)
                button.setToolTip(f"{label}: {what}.\nServed by {names}.")
            else:
                button.setToolTip(
                    f"{label}: {what}.\nNot available: no installed model has it."
                )
        wanted = next((c for c in cards if c.id == default), None)
        self.set_card(wanted or (self._cards[0] if self._cards else None))

    def card(self) -> "ModelCard | None":
        """Card of the chosen model."""
        key = self.model_box.currentData()
        return next((card for card in self._cards if card.id == key), None)

    def set_card(self, card: "ModelCard | None") -> None:
        """Choose a model without telling anyone."""
        if card is not None:
            self.buttons[card.topology].setChecked(True)
        self._fill_models(card)

    def _fill_models(self, card: "ModelCard | None") -> None:
        topology = card.topology if card is not None else ""
        same = [c for c in self._cards if c.topology == topology]
        self.model_box.clear()
        for one in same:
            self.model_box.addItem(f"{one.name} {one.version}", one.id)
        if card is not None:
            self.model_box.setCurrentIndex(same.index(card))
        self.model_box.setVisible(len(same) > 1)
        self._tell_about(card)

    def _tell_about(self, card: "ModelCard | None") -> None:
        name = "" if card is None else f"{card.name} {card.version}"
        self.name.setText(name)
        self.name.setVisible(bool(name) and self.model_box.count() < 2)
        self.note.setText(self._note(card))
        for label in (self.name, self.note):
            label.setToolTip("" if card is None else _card_tip(card))

    def _note(self, card: "ModelCard | None") -> str:
        if card is None:
            return "No model is installed. Reinstall napari-sparsessp to mend this."
        missing = [
            TOPOLOGIES[t][0] for t, b in self.buttons.items() if not b.isEnabled()
        ]
        lines = []
        if card.limits:  # the first limit is the one that everybody has to know
            lines.append(f"<b>!</b> {card.limits[0].split(':')[0].rstrip('.')}.")
        if missing:
            lines.append(f"{', '.join(missing)}: no installed model yet.")
        return "<br>".join(lines)

    def _on_topology(self, button: TopologyButton) -> None:
        self._fill_models(
            next((c for c in self._cards if c.topology == button.topology), None)
        )
        self.changed.emit()

    def _on_model(self, _index: int) -> None:
        self._tell_about(self.card())
        self.changed.emit()


def _card_tip(card: "ModelCard") -> str:
    """Say in a tool tip what the card says."""
    ratios = ", ".join(f"{r:g}" for r in card.ratios)
    lines = [
        f"{card.name} {card.version} ({card.id})",
        f"Trained on: {card.trained_on}",
        f"Trained for r = {ratios}, {card.modality} images",
        f"Licence: {card.licence}",
    ]
    lines += [f"Limit: {limit}" for limit in card.limits]
    return "\n".join(lines)

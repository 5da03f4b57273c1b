"""Choose a topology from small diagrams, and one of the models that have it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.widgets.basic import ElidingComboBox
from napari_sparsessp.ui.widgets.style import Tones, mix

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
"""Name and explanation of each topology."""
_WHOLE = ("repmode", "multinet")
_DECODER = ("condnet", "tsn", "tgnet")


def repeated(card: "ModelCard") -> Literal["nothing", "decoder", "network"]:
    """Tell what has to be computed again for each structure."""
    how, network = card.conditioning, card.network
    told_early = network.get("task_where", "decoder") != "decoder"
    if how in _WHOLE or (how in ("condnet", "tgnet") and told_early):
        return "network"
    if how in _DECODER or (how == "multihead" and network.get("heads") == "decoder"):
        return "decoder"
    return "nothing"


def is_pass_each(card: "ModelCard") -> bool:
    """Tell whether each structure needs a pass through the whole network."""
    return repeated(card) == "network" and len(card.structures) > 1


def cost_words(card: "ModelCard") -> str:
    """Say what more structures cost; "" where there is only one."""
    many = len(card.structures)
    if many < 2:
        return ""
    if repeated(card) == "network":
        return (
            f"Each structure is a pass of its own: all {many} take {many} times as "
            "long as one. Untick those you do not need."
        )
    if repeated(card) == "decoder":
        return (
            "The encoder runs once for all structures, the decoder once for each: "
            "every structure more takes some time more."
        )
    return "All structures come out of one pass: many cost hardly more than one."


def ratios_text(ratios: Sequence[float]) -> str:
    """Write sparsity ratios, as ``r = 1, 2, 4, 8``."""
    return "r = " + ", ".join(f"{ratio:g}" for ratio in ratios)


def short_duration(seconds: float) -> str:
    """Write a time in as few letters as will do."""
    if seconds < 0.95:
        return "< 1 s"
    if seconds < 90:
        return f"{round(seconds)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def count_text(number: int) -> str:
    """Write a large number as people say it: ``124 million``."""
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {word}"
    return str(number)


def structure_names(ids: Sequence[str]) -> str:
    """Write the labels of structures."""
    return ", ".join(structure_or_custom(id_).label for id_ in ids)


def card_rows(card: "ModelCard") -> list[tuple[str, str]]:
    """Write all that a user may want to know of a model.

    Parameters
    ----------
    card : ModelCard

    Returns
    -------
    list of (title, text)
        Plain text; several lines where there are several things to say.
    """
    many = len(card.structures)
    size = "\u2009×\u2009".join(f"{value:g}" for value in card.voxel_size)
    label, what = TOPOLOGIES[card.topology]
    rows = [
        (f"{many} structures" if many > 1 else "Structure", _names(card)),
        ("Made for", f"{card.modality}, {ratios_text(card.ratios)}"),
        ("Gives", _given(card)),
        ("Voxel grid", f"{size} µm (z, y, x)"),
        ("Normalisation", card.normalisation),
        ("Network", f"{label}: {what}.\n{_kind(card)}"),
        ("Cost", cost_words(card)),
        ("Trained on", card.trained_on),
        ("Scores", "\n".join(score_lines(card.scores)) or "none given"),
        ("Limits", "\n".join(f"• {limit}" for limit in card.limits) or "none given"),
        ("Licence", card.licence),
        ("Cite", card.citation),
        ("Came from", _source(getattr(card, "source", None))),
    ]
    return [(title, text) for title, text in rows if text]


def score_lines(scores: Mapping[str, Any]) -> list[str]:
    """Write the scores of a card, grouped by what they were measured on.

    Of values for each structure only the mean is told.
    """
    lines = []
    for what, found in scores.items():
        if not isinstance(found, Mapping):
            lines.append(f"{what}: {_value(found)}")
            continue
        tables = {key: one for key, one in found.items() if _is_table(one)}
        parts = [
            _score(str(key), one) for key, one in found.items() if key not in tables
        ]
        short = all("," not in part for part in parts)
        lines.append(f"{what}:")
        if parts:
            lines += (
                ["   " + " · ".join(parts)] if short else [f"   {p}" for p in parts]
            )
        for key, table in tables.items():
            lines.append(f"   {key}:")
            lines += [f"      {_row(str(name), row)}" for name, row in table.items()]
    return lines


def _is_table(found: Any) -> bool:
    """Whether it has rows of several measures, such as ``{"r = 4": {"r2": …}}``."""
    return isinstance(found, Mapping) and any(
        isinstance(row, Mapping) for row in found.values()
    )


def _row(name: str, row: Any) -> str:
    if not isinstance(row, Mapping):
        return f"{name.replace('_', ' ')} {_value(row)}"
    told = ", ".join(f"{_measure(str(key))} {_value(one)}" for key, one in row.items())
    return f"{name.replace('_', ' ')}: {told}"


def _names(card: "ModelCard") -> str:
    return structure_names(card.structures)


def _given(card: "ModelCard") -> str:
    """Say what comes out where it is no stack."""
    if getattr(card, "z_projection", "none") == "none":
        return ""
    return "one plane for a whole stack: a projection over z"


def _kind(card: "ModelCard") -> str:
    how = {
        "multihead": "one output for each structure",
        "repmode": "RepMode, kernels of its own for each structure",
        "multinet": "one network for each structure",
        "dodnet": "DoDNet, a last layer made for each structure",
    }.get(card.conditioning, card.conditioning)
    gap = {
        "prefix": "gaps between planes are filled before the network",
        "postfix": "gaps between planes are filled after the network",
        "none": "the network itself writes the planes in between",
    }[card.mapping]
    if max(card.ratios) < 1.05:
        gap = "made for stacks without gaps"
    told = gap if len(card.structures) < 2 else f"{how}; {gap}"
    return f"{told[0].upper()}{told[1:]}."


def _source(source: Any) -> str:
    """Say where an imported model came from."""
    if not isinstance(source, Mapping):
        return ""
    name = source.get("file") or source.get("name") or ""
    return ", ".join(str(part) for part in (source.get("format"), name) if part)


def _score(key: str, found: Any) -> str:
    """Write one entry, such as ``r2_at_4`` with values for each structure."""
    head, _, ratio = key.rpartition("at_")
    name = _measure(head.rstrip("_")) if ratio.isdigit() else _measure(key)
    if isinstance(found, Mapping):
        found = found.get("mean", found)
    if isinstance(found, Mapping):
        told = ", ".join(f"{_measure(str(k))} {_value(v)}" for k, v in found.items())
    else:
        told = f"{name} {_value(found)}".strip()
        name = ""
    where = f"r = {ratio}" if ratio.isdigit() else ""
    return " ".join(part for part in (where, name, told) if part)


def _measure(key: str) -> str:
    return {
        "r2": "R²",
        "r2_fitted": "R² after refitting",
        "pcc": "PCC",
        "pcc_plane": "PCC in planes",
    }.get(key, key.replace("_", " "))


def _value(found: Any) -> str:
    if isinstance(found, float):
        return f"{found:.2f}".replace("-", "\u2212")
    return str(found)


@dataclass(frozen=True)
class Quality:
    """What may be expected.

    Attributes
    ----------
    r2 : float
        Over all voxels, against the z-scored truth.
    measured_on : str
        What images it comes from, in the card's words.
    """

    r2: float
    measured_on: str


def expected_quality(
    card: "ModelCard | None", structure: str, ratio: float | None
) -> Quality | None:
    """Tell what R² a card promises.

    Parameters
    ----------
    card : ModelCard or None
    structure : str
        Id.
    ratio : float or None
        Sparsity ratio; between two that were measured the value is interpolated over
        the logarithm of the ratio.

    Returns
    -------
    Quality or None
        None where the card says nothing of this structure at such a ratio.
    """
    from napari_sparsessp.models.card import expected_quality as read

    if card is None or ratio is None or structure not in card.structures:
        return None
    told = read(card)
    found = None if told is None else told.at(structure, max(ratio, 1.0))
    return None if told is None or found is None else Quality(found, told.measured_on)


def mean_quality(
    card: "ModelCard | None", structures: Sequence[str], ratio: float | None
) -> Quality | None:
    """Give the mean over those structures of which the card says something."""
    found = [expected_quality(card, id_, ratio) for id_ in structures]
    known = [one for one in found if one is not None]
    if not known:
        return None
    return Quality(sum(one.r2 for one in known) / len(known), known[0].measured_on)


def r2_text(value: float) -> str:
    """Write an R² as people do, with a true minus sign."""
    return f"{value:.2f}".replace("-", "\u2212")


_DIAGRAM = 38
_LARGE, _SMALL = 9.0, 8.0
_USUAL_POINTS = 9.0
_DIMENSIONS = {"3d": (3, 3), "2d": (2, 2), "2to3d": (2, 3), "3to2d": (3, 2)}


def draw_topology(
    painter: QPainter, centre: QPointF, topology: str, ink: QColor, fill: QColor
) -> None:
    """Draw encoder, arrow and decoder, about 54 × 24 pixels.

    Parameters
    ----------
    painter : QPainter
    centre : QPointF
    topology : {"3d", "2d", "2to3d", "3to2d"}
    ink, fill : QColor
    """
    x, y = centre.x(), centre.y()
    first, second = _DIMENSIONS[topology]
    _draw_block(painter, QPointF(x - 17, y), first, ink, fill)
    _draw_block(painter, QPointF(x + 17, y), second, ink, fill)
    painter.setPen(QPen(ink, 1.3))
    painter.drawLine(QPointF(x - 3, y), QPointF(x + 3, y))
    painter.drawPolyline(
        [
            QPointF(x + 0.5, y - 2.6),
            QPointF(x + 3.2, y),
            QPointF(x + 0.5, y + 2.6),
        ]
    )


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

    def side(direction: float, level: float) -> QPolygonF:
        return QPolygonF(
            [
                QPointF(x + direction * w, y - level),
                QPointF(x, y + h - level),
                QPointF(x, y + h + level),
                QPointF(x + direction * w, y + level),
            ]
        )

    if dimension == 2:
        painter.setBrush(fill)
        painter.drawPolygon(sheet(0))
        return
    level = 4.5
    painter.setBrush(fill.darker(125))
    painter.drawPolygon(side(-1, level))
    painter.setBrush(fill.darker(150))
    painter.drawPolygon(side(1, level))
    painter.setBrush(fill)
    painter.drawPolygon(sheet(-level))


def _scale(font: QFont) -> float:
    """How much larger the user wants everything to be written."""
    return max(1.0, font.pointSizeF() / _USUAL_POINTS) if font.pointSizeF() > 0 else 1.0


class TopologyDrawing(QWidget):
    """The diagram of one topology, to look at."""

    def __init__(self) -> None:
        super().__init__()
        self._topology = ""
        self.setFixedSize(QSize(62, 30))

    @property
    def topology(self) -> str:
        """What is drawn; "" for nothing."""
        return self._topology

    def set_topology(self, topology: str) -> None:
        """Draw this topology; nothing for one without a diagram."""
        self._topology = topology if topology in TOPOLOGIES else ""
        label, what = TOPOLOGIES.get(self._topology, ("", ""))
        self.setToolTip(f"{label}: {what}." if label else "")
        self.setAccessibleName(f"Topology {label}")
        self.update()

    def paintEvent(self, _event: object) -> None:
        """Draw the diagram."""
        if not self._topology:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tones = Tones.of(self.window())  # a panel's own back may be transparent
        centre = QRectF(self.rect()).center()
        draw_topology(painter, centre, self._topology, tones.text, tones.accent)


class TopologyButton(QAbstractButton):
    """A diagram of encoder and decoder with its name, to choose."""

    def __init__(self, topology: str) -> None:
        super().__init__()
        self.topology = topology
        self.label = TOPOLOGIES[topology][0]
        self.setCheckable(True)
        self.setMinimumWidth(62)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._quality = self._time = ""
        self._rows = 0
        self._say()

    def set_prospect(self, quality: str, time: str, rows: int = 2) -> None:
        """Say below the name how good and how fast it would be; "" for unknown.

        All buttons of a row keep room for the same number of `rows`.
        """
        if (quality, time, rows) != (self._quality, self._time, self._rows):
            self._quality, self._time, self._rows = quality, time, rows
            self._say()
            self.updateGeometry()
            self.update()

    def _say(self) -> None:
        told = [f"Topology {self.label}", self._quality, self._time]
        self.setAccessibleName(", ".join(filter(None, told)))

    def _lines(self) -> list[str]:
        return [line for line in (self._quality, self._time) if line]

    def _font(self, points: float, *, bold: bool = False) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(points * _scale(self.font()))
        font.setBold(bold)
        return font

    def _line_height(self) -> int:
        return QFontMetrics(self._font(_SMALL)).height()

    def sizeHint(self) -> QSize:
        """Give room for a diagram, its name and what is expected of it."""
        name = QFontMetrics(self._font(_LARGE)).height()
        lines = self._rows * self._line_height()
        return QSize(76, _DIAGRAM + name + lines + 4)

    def minimumSizeHint(self) -> QSize:
        """Never cut a line."""
        return QSize(62, self.sizeHint().height())

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
        centre = QPointF(frame.center().x(), frame.top() + 19)
        draw_topology(painter, centre, self.topology, ink, fill)
        painter.setFont(self._font(_LARGE, bold=on and able))
        middle = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter
        row = QRectF(frame.left(), frame.top() + _DIAGRAM - 3, frame.width(), 0)
        row.setHeight(painter.fontMetrics().height())
        painter.drawText(row, middle, self.label)
        painter.setFont(self._font(_SMALL))
        painter.setPen(tones.text if on and able else tones.muted)
        row.moveTop(row.bottom())
        row.setHeight(self._line_height())
        for line in self._lines():
            painter.drawText(row, middle, line)
            row.moveTop(row.bottom())


IMPORT = "\0import"
"""Data of the model box's last entry; no id can look like it."""


class TopologyPicker(QWidget):
    """Four diagrams; those that no model serves are off and say why.

    Signals
    -------
    changed
        The user picked another topology or model.
    import_asked, info_asked
        The user wants to import a checkpoint, or to read the model's card.
    """

    changed = Signal()
    import_asked = Signal()
    info_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._cards: list[ModelCard] = []
        self._chosen: ModelCard | None = None
        self._group = QButtonGroup(self)
        self.buttons: dict[str, TopologyButton] = {}
        for topology in TOPOLOGIES:
            button = TopologyButton(topology)
            self._group.addButton(button)
            self.buttons[topology] = button
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
        self.note = QLabel("")
        self.note.setProperty("role", "small")
        self.note.setWordWrap(True)
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self._arrange()
        self._group.buttonClicked.connect(self._on_topology)
        self.model_box.activated.connect(self._on_model)
        self.info_button.clicked.connect(lambda _on: self.info_asked.emit())
        self.set_cards([])

    def _arrange(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        for button in self.buttons.values():
            row.addWidget(button, 1)
        model = QHBoxLayout()
        model.setContentsMargins(0, 0, 0, 0)
        model.setSpacing(5)
        model.addWidget(self.model_box, 1)
        model.addWidget(self.info_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addLayout(row)
        column.addLayout(model)
        column.addWidget(self.note)

    def set_cards(self, cards: "Sequence[ModelCard]", default: str = "") -> None:
        """Offer these models.

        Parameters
        ----------
        cards : sequence of ModelCard
            Of several with the same id the first one counts, as everywhere.
        default : str
            Id of the one to choose; the first one where there is none of that id.
        """
        first: dict[str, ModelCard] = {}
        for card in cards:
            first.setdefault(card.id, card)
        self._cards = list(first.values())
        served = {card.topology for card in self._cards}
        for topology, button in self.buttons.items():
            label, what = TOPOLOGIES[topology]
            button.setEnabled(topology in served)
            if topology in served:
                card = next(c for c in self._cards if c.topology == topology)
                button.setToolTip(_prospect_tip(card, None, None))
            else:
                button.setToolTip(
                    f"{label}: {what}.\nNot available: no installed model has it. "
                    "Import one that has."
                )
        wanted = next((c for c in self._cards if c.id == default), None)
        self.set_card(wanted or (self._cards[0] if self._cards else None))

    def card(self) -> "ModelCard | None":
        """Card of the chosen model."""
        return self._chosen

    def served(self) -> "dict[str, ModelCard]":
        """Card that each topology stands for: the chosen one, or its first."""
        found: dict[str, ModelCard] = {}
        for card in (*filter(None, [self._chosen]), *self._cards):
            found.setdefault(card.topology, card)
        return found

    def show_prospects(
        self, found: Mapping[str, tuple[Quality | None, float | None]]
    ) -> None:
        """Say on the diagrams what is to be expected of them.

        Parameters
        ----------
        found : mapping
            Topology to its expected quality and seconds; None where unknown.
        """
        served = self.served()
        known = [quality is not None for quality, _ in found.values()]
        timed = [seconds is not None for _, seconds in found.values()]
        rows = any(known) + any(timed)
        for topology, button in self.buttons.items():
            quality, seconds = found.get(topology, (None, None))
            button.set_prospect(
                "" if quality is None else f"R² {r2_text(quality.r2)}",
                "" if seconds is None else _about(seconds),
                rows,
            )
            if topology in served:
                button.setToolTip(_prospect_tip(served[topology], quality, seconds))

    def model_id(self) -> str:
        """Id of the chosen model; "" where there is none."""
        return "" if self._chosen is None else self._chosen.id

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
            self.model_box.addItem(_title(one), one.id)
            last = self.model_box.count() - 1
            self.model_box.setItemData(last, _tip(one), Qt.ItemDataRole.ToolTipRole)
        self.model_box.insertSeparator(self.model_box.count())
        self.model_box.addItem("Import a checkpoint…", IMPORT)
        self.model_box.setItemData(
            self.model_box.count() - 1,
            "Use published weights: RepMode, SparseSSP or pytorch_fnet. A file can "
            "also be dropped onto this dock.",
            Qt.ItemDataRole.ToolTipRole,
        )
        self._choose(card)

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
        lines = [cost_words(card)] if is_pass_each(card) else []
        if card.limits:  # the first limit is the one that everybody has to know
            lines.append(_in_short(card.limits[0]))
        missing = [b.label for b in self.buttons.values() if not b.isEnabled()]
        if missing:
            lines.append(f"{', '.join(missing)}: no installed model; import one.")
        return "\n".join(lines)

    def _on_topology(self, button: QAbstractButton) -> None:
        chosen = next((t for t, b in self.buttons.items() if b is button), "")
        self._fill_models(next((c for c in self._cards if c.topology == chosen), None))
        self.changed.emit()

    def _on_model(self, _index: int) -> None:
        key = self.model_box.currentData()
        if key == IMPORT:  # an errand, not a choice
            self._choose(self._chosen)
            self.import_asked.emit()
        elif self._chosen is None or key != self._chosen.id:
            self._choose(next(card for card in self._cards if card.id == key))
            self.changed.emit()


def _about(seconds: float) -> str:
    told = short_duration(seconds)
    return told if told.startswith("<") else f"≈ {told}"


def _prospect_tip(
    card: "ModelCard", quality: Quality | None, seconds: float | None
) -> str:
    label, what = TOPOLOGIES[card.topology]
    lines = [f"{label}: {what}.", f"Served by {card.name}."]
    if quality is not None:
        lines.append(
            f"R² {r2_text(quality.r2)}: mean of the ticked structures at this ratio, "
            f"measured on {quality.measured_on}."
        )
    if seconds is not None:
        lines.append(f"About {short_duration(seconds)} for this stack on this machine.")
    return "\n".join(lines)


def _in_short(limit: str) -> str:
    """Give what stands before a colon, where that says something by itself."""
    head = limit.split(":")[0]
    return (head if len(head.split()) > 2 else limit).rstrip(".") + "."


def _title(card: "ModelCard") -> str:
    """Name and version; what was imported has no version to be proud of."""
    if card.version == "imported":
        return f"{card.name} (imported)"
    return f"{card.name} {card.version}".strip()


def _tip(card: "ModelCard") -> str:
    """Say in a tool tip what the card says."""
    lines = [
        f"{_title(card)}, id {card.id}",
        f"Trained on: {card.trained_on}",
        f"Made for {ratios_text(card.ratios)}, {card.modality} images",
        f"Licence: {card.licence}",
    ]
    lines += [f"Limit: {limit}" for limit in card.limits]
    return "\n".join(lines)

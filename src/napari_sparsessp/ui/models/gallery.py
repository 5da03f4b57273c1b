"""The gallery in the Models dock: published models as cards, without pictures."""

from collections.abc import Mapping
from functools import partial

from qtpy.QtCore import QRectF, QSize, Qt, QUrl, Signal
from qtpy.QtGui import QColor, QDesktopServices, QPainter, QPaintEvent
from qtpy.QtWidgets import QComboBox, QFrame, QLabel, QLineEdit, QPushButton, QWidget
from superqt import QFlowLayout

from napari_sparsessp.download import megabytes
from napari_sparsessp.models.gallery import Entry, State, download_size, matches
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.models.page import button_row
from napari_sparsessp.ui.preferences import preference_news, preferences
from napari_sparsessp.ui.widgets.basic import (
    ElidingComboBox,
    StepColumn,
    in_a_column,
    link_button,
    side_by_side,
    small_label,
    wrapped_label,
)
from napari_sparsessp.ui.widgets.style import Tones, breakable, mix

_DOT, _GAP = 8, 6
"""Pixels of a chip's dot, and beside it."""

_SHORT = 24
"""Letters of a fact that stays on one line."""

_STATES: dict[State, tuple[str, str]] = {
    "new": ("", "Get…"),
    "partly": ("A part is here already.", "Get the rest…"),
    "yours": ("Among your models.", "Predict with it"),
}
"""Words for an entry's state, and its button."""


class Chip(QLabel):
    """The name of a structure on its colour."""

    def __init__(self, structure: str) -> None:
        known = structure_or_custom(structure)
        super().__init__(known.label)
        self._structure = structure
        self.setProperty("role", "chip")
        self.setContentsMargins(_DOT + 2 * _GAP, 2, _GAP + 2, 2)
        self.setToolTip(" · ".join(filter(None, (known.label, known.protein))))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a frame in the colour of the structure's layers, and the name on it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tones, colour = Tones.of(self), QColor(preferences().colour(self._structure))
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(mix(tones.panel, colour, 0.6))
        painter.setBrush(mix(tones.panel, colour, 0.2))
        painter.drawRoundedRect(frame, frame.height() / 2, frame.height() / 2)
        dot = QRectF(_GAP, (self.height() - _DOT) / 2, _DOT, _DOT)
        painter.setPen(mix(colour, tones.text, 0.5))
        painter.setBrush(colour)
        painter.drawEllipse(dot)
        painter.end()
        super().paintEvent(event)


def entry_facts(entry: Entry) -> str:
    """Write what a model takes and what it was trained on, in a line."""
    size = download_size(entry)
    download = "size not stated" if size is None else f"download {megabytes(size)}"
    voxel = "voxel size not published"
    if entry.voxel_um is not None:
        numbers = [f"{number:g}" for number in entry.voxel_um]
        alike = len(set(numbers)) == 1
        voxel = f"voxels {numbers[0] if alike else ' × '.join(numbers)} µm"
    window = f"{entry.window_planes} planes at a time"
    parts = [
        *(entry.modality, entry.dimension.upper(), entry.trained_on, voxel),
        window if (entry.window_planes or 1) > 1 else "",
        "" if entry.how else download,
    ]
    # short parts do not break
    kept = [p.replace(" ", "\u00a0") if len(p) < _SHORT else p for p in parts if p]
    return " · ".join(kept)


class EntryCard(QFrame):
    """A published model: what it predicts, from what, its licence and how to get it."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.setAccessibleName(entry.name)
        self.entry = entry
        self.state: State = "new"
        chips = QWidget()
        chips.setProperty("role", "clear")
        flow = QFlowLayout(chips)
        flow.setContentsMargins(0, 0, 0, 0)
        flow.setHorizontalSpacing(4)
        flow.setVerticalSpacing(4)
        for structure in entry.predicts:
            flow.addWidget(Chip(structure))
        self.licence = wrapped_label("", f"Licence: {entry.card_licence}")
        self.how = wrapped_label("", breakable(entry.how))
        self.how.setVisible(bool(entry.how))
        cite = wrapped_label("small", entry.cite.text)
        self.cite_button = link_button("Publication", entry.link)
        self.page_button = link_button("Web page", entry.page)
        for button, address in (
            (self.cite_button, entry.link),
            (self.page_button, entry.page),
        ):
            button.clicked.connect(partial(open_address, address))
        self.state_label = small_label("", "strong")
        self.button = QPushButton("")
        self.button.setProperty("role", "primary")
        links = [self.cite_button] * bool(entry.cite.doi) + [self.page_button]
        foot = button_row(self.button, *links)
        column = in_a_column(
            self,
            *(wrapped_label("strong", entry.name), chips),
            *(wrapped_label("muted", breakable(entry_facts(entry))), self.licence),
            *(self.how, cite, self.state_label, foot),
        )
        column.setContentsMargins(11, 9, 11, 8)
        self.show_state("new")

    def show_state(self, state: State) -> None:
        """Show how far the model is, and offer what comes next."""
        self.state = state
        text, action = _STATES[state]
        self.state_label.setText(text)
        self.state_label.setVisible(bool(text))
        self.button.setText(action)
        self.button.setVisible(self.entry.can_be_fetched or state == "yours")
        self.button.setAccessibleName(f"{action.rstrip('…')}: {self.entry.name}")
        self.button.setToolTip(
            "Choose this model in the Predict dock."
            if state == "yours"
            else "Shows the licence. Nothing is fetched before you accept it."
        )


def open_address(address: str, *_: object) -> None:
    """Open an address in the user's browser."""
    QDesktopServices.openUrl(QUrl(address))


class _Cards(QWidget):
    """As high as its texts are at its width, not at the narrowest."""

    def minimumSizeHint(self) -> QSize:
        """Leave the height to the layout, which knows the width."""
        return QSize(super().minimumSizeHint().width(), 0)


class GalleryView(QWidget):
    """Cards of the gallery under a search and two filters."""

    get_asked = Signal(object)  # the entry
    use_asked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.cards: list[EntryCard] = []
        self._entries: tuple[Entry, ...] = ()
        self._states: Mapping[str, State] = {}
        self._opened = False
        self.search = QLineEdit()
        self.search.setAccessibleName("Search in the gallery")
        self.search.setPlaceholderText("Search: hiPSC, 3D, BSD…")
        self.search.setToolTip(
            "Shows the published models that have all these words: name, cells, "
            "licence, authors (Ctrl+F)."
        )
        self.search.setClearButtonEnabled(True)
        self.structure = _filter("Structure", "Models that predict it.")
        self.modality = _filter("Light", "Models that were made for it.")
        self.count = small_label()
        self.scroll, body = StepColumn([]), _Cards()
        self.scroll.column = in_a_column(body, spacing=8)
        self.scroll.column.setContentsMargins(0, 0, 6, 8)
        self.scroll.setWidget(body)
        filters = side_by_side(self.structure, self.modality)
        rows = (self.search, filters, self.count, self.scroll)
        in_a_column(self, *rows, spacing=6).setStretch(3, 1)
        self.search.textChanged.connect(self.show_matches)
        self.structure.currentIndexChanged.connect(self.show_matches)
        self.modality.currentIndexChanged.connect(self.show_matches)
        preference_news().changed.connect(self._on_preferences)

    def _on_preferences(self, _before: object, _now: object) -> None:
        self.update()  # chips have the colours of layers

    def show_entries(
        self, entries: tuple[Entry, ...], states: Mapping[str, State]
    ) -> None:
        """Show these models, and how far each is."""
        self._entries, self._states = entries, states
        if self._opened:
            self._make_cards()

    def open(self) -> None:
        """Make the cards before they are seen for the first time."""
        self._opened = True
        self._make_cards()

    def _make_cards(self) -> None:
        if self._entries and not self.cards:
            for entry in self._entries:
                self.cards.append(card := EntryCard(entry))
                card.button.clicked.connect(partial(self._on_button, card))
                self.scroll.column.addWidget(card)
            self.scroll.end()
            self._offer_filters()
            self.show_matches()
        for card in self.cards:
            card.show_state(self._states.get(card.entry.id, "new"))

    def _offer_filters(self) -> None:
        ids = dict.fromkeys(id_ for one in self._entries for id_ in one.predicts)
        for id_ in sorted(ids, key=lambda id_: structure_or_custom(id_).label):
            self.structure.addItem(structure_or_custom(id_).label, id_)
        for modality in dict.fromkeys(one.modality for one in self._entries):
            self.modality.addItem(modality, modality)

    def _on_button(self, card: EntryCard, _on: bool = False) -> None:
        asked = self.use_asked if card.state == "yours" else self.get_asked
        asked.emit(card.entry)

    def show_matches(self, *_: object) -> None:
        """Show the cards that the filters and the search leave."""
        wanted = (
            *(self.structure.currentData(), self.modality.currentData()),
            self.search.text(),
        )
        shown, body = 0, self.scroll.widget()
        body.hide()  # else each card that comes or goes is laid out by itself
        for card in self.cards:
            fits = matches(card.entry, *wanted)
            card.setVisible(fits)
            shown += fits
        body.show()
        all_ = len(self.cards)
        number = f"{all_}" if shown == all_ else f"{shown} of {all_}"
        fetched = "Nothing is fetched before you accept a licence"
        self.count.setText(f"{number} published models. {fetched}.")


def _filter(name: str, tip: str) -> QComboBox:
    box = ElidingComboBox()
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.addItem(f"{name}: any", "")
    box.view().setTextElideMode(Qt.TextElideMode.ElideNone)
    return box

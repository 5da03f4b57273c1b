"""Choose pairs in files: a CSV, a folder, or images one by one; and their channels."""

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.ui.inputs.structure_box import StructureBox
from napari_sparsessp.ui.train.choice import FilesPick
from napari_sparsessp.ui.train.look import FilesFound, guess_channels
from napari_sparsessp.ui.widgets.basic import ElidingComboBox

_IMAGES = "Image stacks (*.tif *.tiff *.nd2 *.czi *.lif *.btf);;All files (*)"
_LIST_TIP = (
    "A CSV with a line for each label: path, signal, target, structure, and if you "
    "like path_target, mask and split. RepMode's lists load as they are."
)


class TrainFilesPanel(QWidget):
    """Three ways to name files, and the channels where no list says them.

    Signals
    -------
    changed
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self._images: tuple[Path, ...] = ()
        self._channels: tuple[str, ...] = ()
        self._wanted: FilesPick | None = None
        self.list_button = QPushButton("List (CSV)…")
        self.list_button.setToolTip(_LIST_TIP)
        self.folder_button = QPushButton("Folder…")
        self.folder_button.setToolTip(
            "A folder of images that all have light and fluorescence in the same "
            "channels."
        )
        self.images_button = QPushButton("Images…")
        self.images_button.setToolTip(
            "Some images that all have light and fluorescence in the same channels."
        )
        self.what = QLabel("")
        self.what.setProperty("role", "strong")
        self.found = QLabel("")
        self.found.setProperty("role", "small")
        self.found.setWordWrap(True)
        self.signal = _channel_box("Channel of the transmitted light")
        self.target = _channel_box("Channel of the fluorescence")
        self.structure = StructureBox()
        self._channel_rows = QWidget()
        self._arrange()
        self.list_button.clicked.connect(lambda _on: self.ask_list())
        self.folder_button.clicked.connect(lambda _on: self.ask_folder())
        self.images_button.clicked.connect(lambda _on: self.ask_images())
        self.signal.activated.connect(lambda _i: self.changed.emit())
        self.target.activated.connect(lambda _i: self.changed.emit())
        self.structure.editTextChanged.connect(lambda _text: self.changed.emit())

    def _arrange(self) -> None:
        buttons = QHBoxLayout()
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.setSpacing(6)
        for button in (self.list_button, self.folder_button, self.images_button):
            buttons.addWidget(button, 1)
        grid = QGridLayout(self._channel_rows)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        rows = (
            ("Light is", self.signal),
            ("Fluorescence is", self.target),
            ("It shows", self.structure),
        )
        for number, (text, widget) in enumerate(rows):
            label = QLabel(text)
            label.setProperty("role", "muted")
            grid.addWidget(label, number, 0)
            grid.addWidget(widget, number, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addLayout(buttons)
        for widget in (self.what, self.found, self._channel_rows):
            column.addWidget(widget)
            widget.hide()

    # choosing -----------------------------------------------------------------

    def ask_list(self) -> None:
        """Let the user choose a CSV."""
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a list of pairs", "", "Lists (*.csv);;All files (*)"
        )
        if path:
            self.choose(Path(path))

    def ask_folder(self) -> None:
        """Let the user choose a folder of images."""
        path = QFileDialog.getExistingDirectory(self, "Choose a folder of images")
        if path:
            self.choose(Path(path))

    def ask_images(self) -> None:
        """Let the user choose images."""
        paths, _ = QFileDialog.getOpenFileNames(self, "Choose images", "", _IMAGES)
        if paths:
            self.choose(None, [Path(one) for one in paths])

    def choose(self, path: Path | None, images: Sequence[Path] = ()) -> None:
        """Take a CSV, a folder or images."""
        self._path, self._images, self._channels = path, tuple(images), ()
        self._channel_rows.hide()
        self.found.hide()
        if path is not None:
            self.what.setText(path.name or str(path))
            self.what.setToolTip(str(path))
        else:
            first = self._images[0].name if self._images else ""
            more = len(self._images) - 1
            self.what.setText(f"{first} and {more} more" if more > 0 else first)
            self.what.setToolTip("\n".join(map(str, self._images)))
        self.what.setVisible(bool(self.what.text()))
        self.changed.emit()

    # what the dock says and asks ----------------------------------------------

    def show_found(self, found: FilesFound) -> None:
        """Offer the channels of what was looked at, and say what is there."""
        if found.channels and found.channels != self._channels:
            self._offer_channels(found.channels)
        self._channel_rows.setVisible(bool(found.channels))
        stacks = len(found.shapes)
        structures = {name for one in found.shapes for name in one.structures}
        self.found.setText(
            f"{stacks} stack{'s' * (stacks != 1)}, {len(found.labels)} label"
            f"{'s' * (len(found.labels) != 1)} of {len(structures)} structure"
            f"{'s' * (len(structures) != 1)}"
        )
        self.found.setVisible(bool(found.shapes))

    def pick(self) -> FilesPick:
        """Tell what is chosen."""
        if not self._channels:
            return FilesPick(self._path, self._images)
        return FilesPick(
            self._path,
            self._images,
            self.signal.currentText(),
            self.target.currentText(),
            self.structure.typed(),
        )

    def show_pick(self, pick: FilesPick) -> None:
        """Choose what a config names; channels follow when the files were looked at."""
        self._wanted = pick
        self.structure.blockSignals(True)
        self.structure.show_structure(pick.structure)
        self.structure.blockSignals(False)
        self.choose(pick.path, pick.images)

    def _offer_channels(self, channels: Sequence[str]) -> None:
        self._channels = tuple(channels)
        light, target, structure = guess_channels(channels)
        for box, place in ((self.signal, light), (self.target, target)):
            box.clear()
            box.addItems(list(channels))
            box.setCurrentIndex(place)
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            for box, name in (
                (self.signal, wanted.signal), (self.target, wanted.target)
            ):  # fmt: skip
                number = int(name) if name.isdecimal() else box.findText(name)
                if 0 <= number < box.count():
                    box.setCurrentIndex(number)
        self.structure.blockSignals(True)
        if not self.structure.typed():
            self.structure.show_structure(structure)
        self.structure.blockSignals(False)
        self.changed.emit()


def _channel_box(name: str) -> QComboBox:
    box = ElidingComboBox()
    box.setAccessibleName(name)
    box.setPlaceholderText("choose…")
    return box

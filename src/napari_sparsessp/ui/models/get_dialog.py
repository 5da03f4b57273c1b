"""Get a model of the gallery: its licence, then its files, then Predict."""

from dataclasses import dataclass
from typing import Annotated, Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_sparsessp.download import megabytes
from napari_sparsessp.models.fetching import Installed, install
from napari_sparsessp.models.gallery import (
    UNSEEN,
    Entry,
    accept,
    download_size,
    files_of,
    is_accepted,
)
from napari_sparsessp.ui.models.page import card_table
from napari_sparsessp.ui.tasks import TaskProgress
from napari_sparsessp.ui.widgets.dialog import TaskDialog
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.numbers import read_number

_WIDTH_LETTERS, _TEXT = 90, 320


@dataclass(frozen=True)
class GetOptions:
    """Fields of a model that nobody has published."""

    pixel: Annotated[
        str,
        {
            "label": "Pixel of your images (µm)",
            "name": "Size of a pixel in µm",
            "above": True,
            "live": True,
            "none": "such as 0.325",
            "tooltip": "The pixel size that it was trained on is not published. With "
            "that of your images, at the magnification of its cells, nothing is "
            "resampled.",
        },
    ] = ""


def get(entry: Entry, given: dict[str, Any], progress: TaskProgress) -> Installed:
    """Fetch and import an entry whose licence the user has accepted."""
    accept(entry)
    return install(entry, given, progress=progress)


class GetDialog(TaskDialog):
    """Shows what is fetched and under which licence; its button accepts and fetches."""

    installed = Signal(object, object)  # the entry, and what it became
    use_asked = Signal(object)  # the entry

    STOPPED = "Stopped. Get resumes the download."

    def __init__(self, entry: Entry, parent: QWidget | None = None) -> None:
        super().__init__("Get a model", "the download", "Accept and get", parent)
        self.entry = entry
        self.done_with: Installed | None = None
        self.form = Form(GetOptions)
        self.form.setVisible(self._asks_pixel)
        self.form.changed.connect(lambda: self.set_busy(self.busy))
        self.facts = card_table(_facts(entry))
        for label in self.facts.findChildren(QLabel):
            if label.wordWrap():  # else its height is reckoned for a narrow dialog
                label.setMinimumWidth(_TEXT)
                policy = QSizePolicy.Policy
                label.setSizePolicy(policy.Expanding, policy.Preferred)
        self.arrange(self.facts, self.form, self.message)
        self.start_button.clicked.connect(self.start)
        self.set_busy(False)
        self.resize(_WIDTH_LETTERS * self.fontMetrics().averageCharWidth(), 10)
        self.fit()

    @property
    def _asks_pixel(self) -> bool:
        return self.entry.voxel_um is None and not self.entry.members

    def showEvent(self, event: QShowEvent | None) -> None:
        """Be as high as the texts need in the theme's font."""
        super().showEvent(event)
        self.resize(self.width(), 10)
        self.fit()

    def _pixel(self) -> float | None:
        return read_number(self.form.get("pixel"))

    def start(self) -> None:
        """Accept the licence and fetch; or, once it is here, predict with it."""
        if self.done_with is not None:
            self.use_asked.emit(self.entry)
            self.accept()
            return
        if self.busy or not self.start_button.isEnabled():
            return
        pixel = self._pixel()
        given = {} if pixel is None else {"voxel_size": (pixel, pixel, pixel)}
        self.run(
            *(get, self.entry, given),
            returned=self._on_installed,
            status="Asking the server…",
        )

    def _on_installed(self, done: Installed) -> None:
        self.done_with = done
        self.form.hide()
        self.set_busy(False)
        self.status.setText(f"{self.entry.name}: among your models now.")
        if self.entry.checked is None and done.files:
            digits = next(iter(done.files.values()))
            more = len(done.files) - 1
            rest = f" (the first of {more + 1})" if more else ""
            self.message.show_notices(
                [f"{UNSEEN}; what came has the SHA-256 {digits[:16]}…{rest}"]
            )
        self.fit()
        self.installed.emit(self.entry, done)

    def set_busy(self, busy: bool) -> None:
        """Name the button by what it does now."""
        super().set_busy(busy)
        ready = "Get" if is_accepted(self.entry) else "Accept and get"
        done = self.done_with is not None
        self.start_button.setText("Predict with it" if done else ready)
        asked = self._asks_pixel and not done
        missing = asked and not (self._pixel() or 0) > 0
        self.start_button.setEnabled(not busy and not missing)
        self.form.setEnabled(not busy)
        self.fit()  # the bar and the status need room


def _facts(entry: Entry) -> list[tuple[str, str]]:
    size, files = download_size(entry), files_of(entry)
    amount = "size not stated" if size is None else megabytes(size)
    count = f"{len(files)} {'file' if len(files) == 1 else 'files'}"
    hashed = sum(bool(file.hashes) for file in files)
    sizes = ", and the size of each" if size is not None else ""
    verified = "nothing: no checksum is published"
    if hashed:
        verified = f"checksum of {'each' if hashed == len(files) else hashed}{sizes}"
    seen = f"seen on {entry.checked}" if entry.checked else f"{UNSEEN} yet"
    return [
        ("Model", entry.name),
        ("Trained on", f"{entry.trained_on}; {entry.modality}"),
        ("Licence", entry.card_licence),
        ("Cite", f"{entry.cite.text} {entry.link}"),
        ("Download", f"{count}, {amount}, from {_hosts(entry)}"),
        ("Checked by", f"{verified}; {seen}"),
    ]


def _hosts(entry: Entry) -> str:
    hosts = dict.fromkeys(file.url.split("/")[2] for file in files_of(entry))
    return ", ".join(hosts)

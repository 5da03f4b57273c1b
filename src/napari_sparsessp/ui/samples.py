"""*File > Open Sample*: samples, and the dialog that fetches and opens them."""

import time
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.errors import InputError, SparseSSPError
from napari_sparsessp.io.samples import PUBLIC_SAMPLES, PublicSample, fetch
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.layers.contrast import light_limits_of, limits_of
from napari_sparsessp.ui.layers.reading import LayerData, layers_of, spatial_attributes
from napari_sparsessp.ui.preferences import preferences
from napari_sparsessp.ui.tasks import (
    BackgroundTask,
    TaskProgress,
    error_details,
    readable_error,
)
from napari_sparsessp.ui.widgets.basic import MessageBox
from napari_sparsessp.ui.widgets.style import Dress, breakable
from napari_sparsessp.volume import Volume

TRUTH_SUFFIX = " · truth"

COLONY = "sparse_colony"
"""Key of the sample that comes with the package."""


def sparse_colony() -> list[LayerData]:
    """Open the bundled colony: bright-field at every 4th plane, twelve truths.

    Returns
    -------
    list of (data, attributes, "image")
        The transmitted light, then one hidden layer for each structure.
    """
    from napari_sparsessp.io.samples import sample_paths

    light_path, truth_path = sample_paths()
    light = _read(light_path).with_(channel_names=(), name="Colony · bright-field")
    layers = [
        (data, attributes | {"contrast_limits": light_limits_of(data)}, kind)
        for data, attributes, kind in layers_of(light)
    ]
    for data, attributes, kind in layers_of(_read(truth_path), suffix=TRUTH_SUFFIX):
        layers.append((data, attributes | {"contrast_limits": limits_of(data)}, kind))
    return layers


def hipsc_field() -> list[LayerData]:
    """Open a whole field of view of an hiPSC colony; asks before it is fetched."""
    return _on_demand("hipsc_field")


def hipsc_dna_pair() -> list[LayerData]:
    """Open bright-field with DNA as truth; asks before it is fetched."""
    return _on_demand("hipsc_dna_pair")


def neurons() -> list[LayerData]:
    """Open neurons in phase contrast with three stains; asks before it is fetched."""
    return _on_demand("neurons")


def yeast_timelapse() -> list[LayerData]:
    """Open yeast at five time points; asks before it is fetched."""
    return _on_demand("yeast_timelapse")


def blood_cells() -> list[LayerData]:
    """Open a Nikon file with one plane; asks before it is fetched."""
    return _on_demand("blood_cells")


def sample_layers(key: str) -> list[LayerData]:
    """Open a sample that is here.

    Parameters
    ----------
    key
        `COLONY`, or of a public sample.

    Raises
    ------
    InputError
        It is not here, or damaged.
    """
    from napari_sparsessp.io.samples import PUBLIC_SAMPLES, open_sample

    if key == COLONY:
        return sparse_colony()
    first, *others = map(_in_memory, open_sample(PUBLIC_SAMPLES[key]))
    layers = [_shown(one) for one in layers_of(first, suffix=TRUTH_SUFFIX)]
    for truth in others:
        layers += _stains(truth)
    return layers


def _on_demand(key: str) -> list[LayerData]:
    """Open a public sample, once the user has agreed to what it takes."""
    if PUBLIC_SAMPLES[key].is_here:
        return sample_layers(key)
    wanted: list[str] = []
    dialog: SampleDialog = SampleDialog(QApplication.activeWindow())
    dialog.ready.connect(wanted.append)
    dialog.choose(key)
    dialog.exec()  # napari wants the layers when this function ends
    if not wanted:
        raise InputError(
            "no sample was opened; choose it again when you want to fetch it"
        )
    return sample_layers(wanted[0])


def _shown(layer: LayerData) -> LayerData:
    """Set the contrast of a stack; a time-lapse by its first time point."""
    data, attributes, kind = layer
    stack = data[0] if data.ndim == 4 else data
    light = attributes.get("colormap") == "gray"
    limits = light_limits_of(stack) if light else limits_of(stack)
    return data, attributes | {"contrast_limits": limits}, kind


def _stains(truth: Volume) -> list[LayerData]:
    """Return a hidden layer for each channel of a truth, named by structure."""
    layers: list[LayerData] = []
    for id_ in truth.channel_names:
        one = truth.channel(id_)
        attributes = {
            "name": f"{structure_or_custom(id_).label}{TRUTH_SUFFIX}",
            "colormap": preferences().colour(id_),
            "blending": "additive",
            "visible": False,
            "contrast_limits": limits_of(one.array),
            **spatial_attributes(one),
        }
        layers.append((one.array, attributes, "image"))
    return layers


def _in_memory(volume: Volume) -> Volume:
    """Read a small image at once; a lazy array opens its file for each plane."""
    return volume.with_(array=volume.numpy())


def _read(path: Path) -> Volume:
    """Read a bundled file by the quickest way."""
    import tifffile

    from napari_sparsessp.io.reading import load_volume

    volume = load_volume(path)
    return volume.with_(array=tifffile.imread(path).reshape(volume.shape))


_COLONY_TITLE = "Simulated colony, every 4th plane, with truth"
_COLONY_ABOUT = (
    "Bright-field of simulated cells, with twelve structures as truth: predict all of "
    "them and see how near they come."
)
_COLONY_FACTS = {
    "Size": "comes with the package; nothing is downloaded",
    "Licence": "BSD-3-Clause",
    "From": "napari-sparsessp, simulated",
    "Checked by": "not needed: it came with the package",
    "Kept in": "the package",
}
_WIDTH, _HEIGHT = 580, 450
_KEY = Qt.ItemDataRole.UserRole


class SampleDialog(QDialog):
    """Lists the samples; its button opens the chosen one, or fetches it first.

    Signals
    -------
    ready(str)
        Key of a sample that is here and wanted; the dialog closes itself.
    """

    ready = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        Dress(self)
        self.setWindowTitle("Sample stacks")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._task: BackgroundTask | None = None
        self._began = 0.0
        self.list = QListWidget()
        self.list.setAccessibleName("Samples")
        self.list.setToolTip("Stacks to try things with; the arrow keys choose one.")
        self.about = _wrapped("")
        self.facts = {
            name: _wrapped("muted")
            for name in ("Size", "Licence", "From", "Checked by", "Kept in")
        }
        self.facts_panel = QFrame()
        self.message = MessageBox()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress of the download")
        self.status = _wrapped("muted")
        self.close_button = QPushButton("Close")
        self.open_button = QPushButton("Open")
        self.open_button.setProperty("role", "run")
        self.open_button.setDefault(True)
        self._arrange()
        self._offer()
        self._connect()
        self._show_chosen()
        self.resize(_WIDTH, _HEIGHT)

    def _arrange(self) -> None:
        facts = QFormLayout(self.facts_panel)
        self.facts_panel.setProperty("role", "panel")
        facts.setContentsMargins(11, 8, 11, 8)
        facts.setVerticalSpacing(4)
        facts.setHorizontalSpacing(12)
        for name, label in self.facts.items():
            facts.addRow(name, label)
        foot = QHBoxLayout()
        foot.addWidget(self.status, 1)
        foot.addWidget(self.close_button)
        foot.addWidget(self.open_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(10)
        column.addWidget(self.list)
        column.addWidget(self.about)
        column.addWidget(self.facts_panel)
        column.addWidget(self.message)
        column.addStretch(1)
        column.addWidget(self.bar)
        column.addLayout(foot)
        self.bar.hide()

    def _connect(self) -> None:
        self.list.currentItemChanged.connect(lambda _now, _old: self._show_chosen())
        self.list.itemActivated.connect(lambda _item: self.start())
        self.open_button.clicked.connect(lambda _on: self.start())
        self.close_button.clicked.connect(lambda _on: self.reject())

    # choosing -----------------------------------------------------------------

    def choose(self, key: str) -> None:
        """Choose a sample."""
        for row in range(self.list.count()):
            item = self.list.item(row)
            if item is not None and item.data(_KEY) == key:
                self.list.setCurrentRow(row)

    def key(self) -> str:
        """Key of the chosen sample."""
        item = self.list.currentItem()
        return COLONY if item is None else str(item.data(_KEY))

    def _offer(self) -> None:
        for key, title, here in (
            (COLONY, _COLONY_TITLE, True),
            *((one.key, one.title, one.is_here) for one in PUBLIC_SAMPLES.values()),
        ):
            item = QListWidgetItem(title if here else f"{title}  (download)")
            item.setData(_KEY, key)
            item.setToolTip("at hand" if here else "is fetched when you ask for it")
            self.list.addItem(item)
        self.list.setCurrentRow(0)

    def showEvent(self, event: Any) -> None:
        """Make the list as high as its rows, which the theme has sized by now."""
        super().showEvent(event)
        rows = range(self.list.count())
        height = sum(self.list.sizeHintForRow(row) for row in rows)
        self.list.setFixedHeight(height + 2 * self.list.frameWidth() + 10)

    def _show_chosen(self) -> None:
        sample = PUBLIC_SAMPLES.get(self.key())
        self.message.clear()
        self.status.setText("")
        here = sample is None or sample.is_here
        self.open_button.setText("Open" if here else "Download and open")
        self.about.setText(_COLONY_ABOUT if sample is None else sample.about)
        told = _COLONY_FACTS if sample is None else _facts(sample)
        for name, text in told.items():
            self.facts[name].setText(breakable(text))

    # fetching -----------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Return whether something is being fetched."""
        return self._task is not None

    def start(self) -> None:
        """Open the chosen sample, or fetch it first; only this uses the network."""
        sample = PUBLIC_SAMPLES.get(self.key())
        if self.busy:
            return
        if sample is None or sample.is_here:
            self._finish()
            return
        self.message.clear()
        self._task = BackgroundTask(_fetch, sample, parent=self)
        self._task.progressed.connect(self._on_progress)
        self._task.returned.connect(lambda _none: self._finish())
        self._task.failed.connect(self._on_failed)
        self._began = time.monotonic()
        self._set_busy(True)
        self.status.setText(f"Asking {_host(sample)}…")
        self._task.start()

    def reject(self) -> None:
        """Stop a download, or close the dialog: the button and Escape."""
        if self.busy:
            self._drop()
            self.status.setText("Stopped. The next try goes on from there.")
        else:
            super().reject()

    def closeEvent(self, event: Any) -> None:
        """Let go of a download; its thread ends by itself."""
        self._drop()
        super().closeEvent(event)

    def _finish(self) -> None:
        key = self.key()
        self._drop()
        self.ready.emit(key)
        self.accept()

    def _drop(self) -> None:
        if self._task is not None:
            self._task.abandon()
            self._task = None
        self._set_busy(False)

    def _on_progress(self, share: float, what: str, _left: float | None) -> None:
        if not what:
            return
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(1000 * share))
        self.status.setText(f"{what[:1].upper()}{what[1:]}{self._left(share)}")

    def _left(self, share: float) -> str:
        """Say how long it will take, once that can be known."""
        spent = time.monotonic() - self._began
        if spent < 2 or not 0.02 < share < 1:
            return ""
        seconds = spent * (1 - share) / share
        if seconds < 90:
            return f", {max(1, round(seconds))} s left"
        return f", {round(seconds / 60)} min left"

    def _on_failed(self, error: Exception) -> None:
        self._drop()
        self.status.setText("")
        if not isinstance(error, SparseSSPError):
            error = readable_error(error, "the download")
        self.message.show_error(str(error), error_details(error))

    def _set_busy(self, busy: bool) -> None:
        self.bar.setVisible(busy)
        self.bar.setRange(0, 0)
        self.list.setEnabled(not busy)
        self.open_button.setEnabled(not busy)
        self.close_button.setText("Stop" if busy else "Close")


def _facts(sample: PublicSample) -> dict[str, str]:
    """Say what one should know before fetching."""
    checked = (
        "its SHA-256 checksum"
        if sample.checksum_known
        else "opening it: nobody has recorded a checksum"
    )
    return {
        "Size": f"{sample.size}, from {_host(sample)}",
        "Licence": sample.licence,
        "From": sample.credit,
        "Checked by": checked,
        "Kept in": str(sample.folder),
    }


def _host(sample: PublicSample) -> str:
    return f"github.com/{sample.files[0].repository}"


def _fetch(sample: PublicSample, progress: TaskProgress) -> None:
    fetch(sample, progress)


def _wrapped(role: str) -> QLabel:
    label = QLabel("")
    label.setProperty("role", role)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    # without a width to begin with, its height is reckoned for a very narrow dialog
    label.setMinimumWidth(320 if role == "muted" else 200)
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    return label


class SampleOpening(QObject):
    """Asks which sample, and adds its layers.

    Parameters
    ----------
    owner
        The dock.

    Attributes
    ----------
    dialog
        While it is open.

    Signals
    -------
    failed(SparseSSPError)
        A sample that is here cannot be opened.
    """

    failed = Signal(object)

    def __init__(self, viewer: Any, owner: QWidget) -> None:
        super().__init__(owner)
        self._viewer = viewer
        self._owner = owner
        self.dialog: SampleDialog | None = None

    def ask(self) -> None:
        """Show the samples; the chosen one is opened."""
        if self.dialog is None:
            self.dialog = SampleDialog(self._owner)
            self.dialog.ready.connect(self.open)
            self.dialog.finished.connect(self._on_finished)
        self.dialog.show()
        self.dialog.raise_()

    def open(self, key: str) -> None:
        """Add the layers of a sample that is here."""
        try:
            for data, attributes, _kind in sample_layers(key):
                self._viewer.add_image(data, **attributes)
        except Exception as error:
            self.failed.emit(readable_error(error, "the sample"))

    def _on_finished(self, _result: int) -> None:
        self.dialog = None

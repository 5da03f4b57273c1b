"""*File > Open Sample*: samples, and the dialog that fetches and opens them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QGridLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QWidget,
)

from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.io.samples import (
    PUBLIC_SAMPLES,
    PublicSample,
    fetch,
    open_sample,
    sample_paths,
)
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.layers.contrast import light_limits_of, limits_of
from napari_sparsessp.ui.layers.metadata import TRUTH_SUFFIX
from napari_sparsessp.ui.layers.reading import LayerData, layers_of
from napari_sparsessp.ui.napari_compat import show_warning
from napari_sparsessp.ui.preferences import preferences
from napari_sparsessp.ui.tasks import readable_error
from napari_sparsessp.ui.widgets.basic import wrapped_label
from napari_sparsessp.ui.widgets.dialog import TaskDialog
from napari_sparsessp.ui.widgets.style import breakable
from napari_sparsessp.volume import Volume

DENSE, SPARSE = "dense_colony", "sparse_colony"
"""Keys of the samples that come with the package."""


def _colony(name: str, *, dense: bool) -> list[LayerData]:
    from napari_sparsessp.io.reading import load_volume

    light, truth = map(load_volume, sample_paths(dense=dense))
    named = {"channel_names": ("bright-field",), "name": name}
    light = light.with_(array=light.numpy(), **named)
    truth = truth.with_(array=truth.numpy(), name=name)
    stacks = layers_of(light), layers_of(truth, suffix=TRUTH_SUFFIX)
    return [_with_contrast(layer) for layers in stacks for layer in layers]


def dense_colony() -> list[LayerData]:
    """Open the bundled colony: every plane, and twelve hidden truths."""
    return _colony("Dense colony", dense=True)


def sparse_colony() -> list[LayerData]:
    """Open the bundled colony: every 4th plane, and twelve hidden truths."""
    return _colony("Colony", dense=False)


def sample_layers(key: str) -> list[LayerData]:
    """Open a sample by its key; InputError where it is not downloaded, or damaged."""
    if key in (DENSE, SPARSE):
        return dense_colony() if key == DENSE else sparse_colony()
    # read at once: a lazy array opens its file for each plane
    stacks = [one.with_(array=one.numpy()) for one in open_sample(PUBLIC_SAMPLES[key])]
    first, *others = stacks
    layers = [_with_contrast(one) for one in layers_of(first, suffix=TRUTH_SUFFIX)]
    for truth in others:
        layers += _stains(truth, first.name)
    return layers


# An image of no channels. Of an empty list napari says that the sample is broken.
_NO_LAYERS: list[LayerData] = [(np.zeros((0, 1, 1)), {"channel_axis": 0}, "image")]


def _on_demand(key: str) -> Callable[[], list[LayerData]]:
    """Return what opens a public sample, once the user has agreed to what it takes.

    It opens nothing where the user does not: napari shows errors with a traceback.
    """

    def layers() -> list[LayerData]:
        wanted = [key]
        if not PUBLIC_SAMPLES[key].is_here:
            wanted.clear()
            dialog = SampleDialog(QApplication.activeWindow())
            dialog.ready.connect(wanted.append)
            dialog.choose(key)
            dialog.exec()  # napari wants the layers when this function ends
        try:
            return sample_layers(wanted[0]) if wanted else _NO_LAYERS
        except SparseSSPError as error:
            show_warning(str(error))
            return _NO_LAYERS

    return layers


# what napari.yaml names
hipsc_field = _on_demand("hipsc_field")
hipsc_dna_pair = _on_demand("hipsc_dna_pair")
neurons = _on_demand("neurons")
yeast_timelapse = _on_demand("yeast_timelapse")
blood_cells = _on_demand("blood_cells")


def _with_contrast(layer: LayerData) -> LayerData:
    """Set the contrast of a stack; a time-lapse by its first time point."""
    data, attributes, kind = layer
    stack = data[0] if data.ndim == 4 else data
    measure = light_limits_of if attributes.get("colormap") == "gray" else limits_of
    return data, attributes | {"contrast_limits": measure(stack)}, kind


def _stains(truth: Volume, name: str) -> list[LayerData]:
    """Return a hidden layer for each channel of a truth, named by structure."""
    layers = []
    for id_, (data, attributes, kind) in zip(
        truth.channel_names, layers_of(truth, visible=False), strict=True
    ):
        look = {
            "name": f"{name} · {structure_or_custom(id_).label}{TRUTH_SUFFIX}",
            "colormap": preferences().colour(id_),
            "blending": "additive",
        }
        layers.append(_with_contrast((data, attributes | look, kind)))
    return layers


_COLONIES = {  # title and what it is for
    DENSE: (
        "Simulated colony, every plane, with truth",
        "Bright-field of simulated cells, with twelve structures as truth, for all "
        "docks: predict, compare, find out how sparsely one may image, or train. One "
        "small field: its mean R² is 0.40, that of the 16 test colonies 0.53.",
    ),
    SPARSE: (
        "Simulated colony, every 4th plane, with truth",
        "The same cells, imaged at every 4th plane: predict all structures and see "
        "how near they come.",
    ),
}
_COLONY_FACTS = {
    "Size": "comes with the package; nothing is downloaded",
    "Licence": "BSD-3-Clause",
    "From": "napari-sparsessp, simulated",
    "Checked by": "not needed: it came with the package",
    "Kept in": "the package",
}
_KEYS = (*_COLONIES, *PUBLIC_SAMPLES)


class SampleDialog(TaskDialog):
    """Lists the samples; its button opens the chosen one, or fetches it first."""

    ready = Signal(str)  # key of the sample; the dialog closes itself

    STOPPED = "Stopped. The next try resumes the download."

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Sample stacks", "the download", "Open", parent)
        self.list = QListWidget()
        self.list.setAccessibleName("Samples")
        self.list.setToolTip("Stacks to try things with; the arrow keys choose one.")
        self.about = _text("")
        self.facts = {name: _text("muted") for name in _COLONY_FACTS}
        panel = QFrame()
        panel.setProperty("role", "panel")
        facts = QGridLayout(panel)
        facts.setContentsMargins(11, 8, 11, 8)
        facts.setVerticalSpacing(4)
        facts.setHorizontalSpacing(12)
        facts.setColumnStretch(1, 1)
        for row, (name, label) in enumerate(self.facts.items()):
            facts.addWidget(QLabel(name), row, 0, Qt.AlignmentFlag.AlignTop)
            facts.addWidget(label, row, 1)
        self.arrange(self.list, self.about, panel, self.message)
        self._list_samples()
        self.list.currentItemChanged.connect(self._show_chosen)
        self.list.itemActivated.connect(self.start)
        self.start_button.clicked.connect(self.start)
        self._show_chosen()
        self.resize(620, 450)

    def choose(self, key: str) -> None:
        """Choose a sample."""
        self.list.setCurrentRow(_KEYS.index(key))

    def key(self) -> str:
        """Return the key of the chosen sample."""
        return _KEYS[self.list.currentRow()]

    def _list_samples(self) -> None:
        own = ((title, True) for title, _ in _COLONIES.values())
        public = ((one.title, one.is_here) for one in PUBLIC_SAMPLES.values())
        for title, here in (*own, *public):
            item = QListWidgetItem(title if here else f"{title}  (download)")
            item.setToolTip("at hand" if here else "is fetched when you ask for it")
            self.list.addItem(item)
        self.list.setCurrentRow(0)

    def showEvent(self, event: Any) -> None:
        """Make the list as high as its rows, which the theme has sized by now."""
        super().showEvent(event)
        rows = range(self.list.count())
        height = sum(self.list.sizeHintForRow(row) for row in rows)
        self.list.setFixedHeight(height + 2 * self.list.frameWidth() + 10)
        self.fit()

    def _show_chosen(self, *_items: object) -> None:
        sample = PUBLIC_SAMPLES.get(self.key())
        self.message.clear()
        self.status.setText("")
        here = sample is None or sample.is_here
        self.start_button.setText("Open" if here else "Download and open")
        about = _COLONIES[self.key()][1] if sample is None else sample.about
        self.about.setText(about)
        facts = _COLONY_FACTS if sample is None else _facts(sample)
        for name, text in facts.items():
            self.facts[name].setText(breakable(text))
        self.fit()

    def start(self, *_: object) -> None:
        """Open the chosen sample, or fetch it first; only this uses the network."""
        key = self.key()
        sample = PUBLIC_SAMPLES.get(key)
        finish = partial(self._finish, key)
        if self.busy:
            return
        if sample is None or sample.is_here:
            finish()
        else:
            status = f"Asking {_host(sample)}…"
            self.run(fetch, sample, returned=finish, status=status)

    def _finish(self, key: str, _fetched: object = None) -> None:
        self.ready.emit(key)
        self.accept()

    def set_busy(self, busy: bool) -> None:
        """Keep the choice while it is fetched."""
        super().set_busy(busy)
        self.list.setEnabled(not busy)


def _facts(sample: PublicSample) -> dict[str, str]:
    """Return what to know before fetching."""
    return {
        "Size": f"{sample.size}, from {_host(sample)}",
        "Licence": sample.licence,
        "From": sample.credit,
        "Checked by": "its SHA-256 checksum"
        if sample.checksum_known
        else "opening it: nobody has recorded a checksum",
        "Kept in": str(sample.folder),
    }


def _host(sample: PublicSample) -> str:
    return f"github.com/{sample.files[0].repository}"


def _text(role: str) -> QLabel:
    label = wrapped_label(role)
    # without a width to begin with, its height is reckoned for a very narrow dialog
    label.setMinimumWidth(320 if role == "muted" else 200)
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    return label


class SampleOpening(QObject):
    """Asks which sample, and adds its layers."""

    failed = Signal(object)

    def __init__(self, viewer: Any, owner: QWidget) -> None:
        super().__init__(owner)
        self._viewer = viewer
        self._owner = owner
        self.dialog: SampleDialog | None = None  # while it is open

    def ask(self) -> None:
        """Show the samples; the chosen one is opened."""
        if self.dialog is None:
            self.dialog = SampleDialog(self._owner)
            self.dialog.ready.connect(self.open)
            self.dialog.finished.connect(self._on_finished)
        self.dialog.show()
        self.dialog.raise_()

    def open(self, key: str) -> None:
        """Add the layers of a sample that needs no download."""
        try:
            for data, attributes, _kind in sample_layers(key):
                self._viewer.add_image(data, **attributes)
        except Exception as error:
            self.failed.emit(readable_error(error, "the sample"))

    def _on_finished(self) -> None:
        self.dialog = None

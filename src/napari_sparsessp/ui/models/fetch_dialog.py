"""Fetch a model from an address or a DOI; nothing is asked of a server before Fetch."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_sparsessp.models.library import IdTaken, all_entries, card_of
from napari_sparsessp.models.manage import Fetched, add_model, fetch_model
from napari_sparsessp.ui.models.import_form import model_id
from napari_sparsessp.ui.tasks import TaskProgress
from napari_sparsessp.ui.widgets.basic import wrapped_label
from napari_sparsessp.ui.widgets.dialog import TaskDialog
from napari_sparsessp.ui.widgets.forms import Form

_WIDTH_LETTERS = 90
_HINT = (
    "Paste the address of a model's file, or its DOI (Zenodo, figshare, Dataverse). "
    "Models of this plugin are added at once; checkpoints of RepMode, SparseSSP and "
    "pytorch_fnet are imported, and nothing in them is executed."
)


@dataclass(frozen=True)
class FetchOptions:
    """Where a model comes from."""

    address: Annotated[
        str,
        {
            "label": "Address or DOI",
            "above": True,
            "live": True,
            "none": "https://…  or  10.5281/zenodo.1234:file.pth",
            "tooltip": "An address begins with https:// and ends in .safetensors, "
            ".pth, .pt, .ckpt or .p. After a DOI you may write :file.name, where it "
            "has several files.",
        },
    ] = ""
    sha256: Annotated[
        str,
        {
            "label": "SHA-256 (optional)",
            "name": "SHA-256 of the file",
            "above": True,
            "none": "if its page shows one",
            "tooltip": "64 digits and letters that the model's page may show beside "
            "the file. With them a changed or damaged file is refused; without them "
            "you see the SHA-256 of what came.",
        },
    ] = ""
    id: Annotated[
        str,
        {
            "label": "Add it with another id",
            "name": "Id of the model",
            "above": True,
            "tooltip": "How files, requests and the command line call the model.",
        },
    ] = ""


def fetch(origin: str, sha256: str, progress: TaskProgress) -> Fetched:
    """Download a model file, resuming a partial download; report megabytes."""

    def report(done: float, total: float | None = None, what: str = "") -> None:
        megabytes = f"{done / 1e6:.1f} MB so far"
        if total and not what:
            megabytes = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
        progress(0.0 if what else done, total or math.inf, what or megabytes)

    return fetch_model(origin, sha256=sha256 or None, progress=report)


def add(fetched: Fetched, id_: str, progress: TaskProgress) -> Path:
    """Add a downloaded model to the user's own."""
    path = add_model(
        fetched.path, id=id_ or None, source=fetched.source, progress=progress
    )
    fetched.forget()
    return path


class FetchDialog(TaskDialog):
    """Download a model and add it, or hand a checkpoint on to be imported."""

    added = Signal(object, object)  # path of a model that is now the user's, Fetched
    checkpoint = Signal(object)  # Fetched, which has to be imported

    STOPPED = "Stopped. Fetch resumes the download."

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Fetch a model", "the download", "Fetch", parent)
        self._fetched: Fetched | None = None
        self._address = ""
        self.form = Form(FetchOptions)
        self.form.show_row("id", False)
        self.form.changed.connect(self._on_edited)
        self.arrange(wrapped_label("muted", _HINT), self.form, self.message)
        self.start_button.clicked.connect(self.fetch)
        self.set_busy(False)
        self.resize(_WIDTH_LETTERS * self.fontMetrics().averageCharWidth(), 10)
        self.fit()
        self.form.native("address").setFocus()

    def _on_edited(self) -> None:
        address = self.form.get("address")
        if address != self._address:
            self._address = address
            self.form.update(id="")
            self.form.show_row("id", False)
        self.start_button.setEnabled(bool(address) and not self.busy)

    def fetch(self) -> None:
        """Download; bytes that came before are not downloaded again."""
        options = self.form.values()
        if self.busy or not options.address:
            return
        self.run(
            *(fetch, options.address, options.sha256),
            returned=self._on_fetched,
            status="Asking the server…",
        )

    def _on_fetched(self, fetched: Fetched) -> None:
        if not fetched.is_native:
            self.checkpoint.emit(fetched)
            self.accept()
            return
        self._fetched = fetched
        self.run(
            *(add, fetched, self.form.get("id")),
            returned=self._on_added,
            status="Adding it to your models…",
        )

    def _on_added(self, path: Path) -> None:
        self.added.emit(path, self._fetched)
        self.accept()

    def on_failed(self, error: Exception) -> None:
        """Show the error; where the id is taken, suggest another."""
        super().on_failed(error)
        if isinstance(error, IdTaken) and self._fetched is not None:
            taken = {one.card.id for one in all_entries() if one.card is not None}
            self.form.update(id=model_id(card_of(self._fetched.path).id, taken))
            self.form.show_row("id", True)
            self.form.native("id").setFocus()
            self.fit()

    def set_busy(self, busy: bool) -> None:
        """Lock the form while something comes."""
        super().set_busy(busy)
        self.form.setEnabled(not busy)
        self.start_button.setEnabled(not busy and bool(self.form.get("address")))

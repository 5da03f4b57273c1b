"""What takes time with models, as functions for a `BackgroundTask`.

They import what they need when they run, and know neither Qt nor the viewer.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.ui.tasks import TaskProgress
from napari_sparsessp.ui.widgets.style import duration_text

if TYPE_CHECKING:
    from napari_sparsessp.models.library import Entry
    from napari_sparsessp.models.manage import Deleted, Fetched
    from napari_sparsessp.models.verification import Verdict


def look(_progress: TaskProgress) -> "tuple[list[Entry], list[Deleted]]":
    """List all models, and those that can be put back."""
    from napari_sparsessp.models.library import all_entries
    from napari_sparsessp.models.manage import deleted_models

    return all_entries(), deleted_models()


def check(path: Path, progress: TaskProgress) -> "Verdict":
    """Verify a model."""
    from napari_sparsessp.models.verification import verify_model

    progress(0.0, what="checking weights and test values")
    return verify_model(path)


def export(path: Path, out: Path, overwrite: bool, progress: TaskProgress) -> Path:
    """Copy a model to a file or folder of its own."""
    from napari_sparsessp.models.manage import export_model

    return export_model(path, out, overwrite=overwrite, progress=progress)


def rename(path: Path, name: str, progress: TaskProgress) -> Path:
    """Give a model another name for people."""
    from napari_sparsessp.models.manage import rename_model

    rename_model(path, name, progress)
    return path


def delete(path: Path, _progress: TaskProgress) -> "Deleted":
    """Move a model into the trash."""
    from napari_sparsessp.models.manage import delete_model

    return delete_model(path)


def undelete(deleted: "Deleted", _progress: TaskProgress) -> Path:
    """Put a model back."""
    from napari_sparsessp.models.manage import restore_model

    return restore_model(deleted)


def fetch(origin: str, sha256: str, progress: TaskProgress) -> "Fetched":
    """Download a model's file; what came before is not fetched again."""
    import time

    from napari_sparsessp.models.manage import fetch_model

    began, first = time.monotonic(), -1.0

    def tell(done: float, total: float | None = None, what: str = "") -> None:
        nonlocal first
        first = done if first < 0 else first
        if what:
            progress(0.0, what=what)
            return
        spent = time.monotonic() - began
        progress(done, total or 0, progress_text(done, total, first, spent))

    progress(0.0, what="asking the server")
    return fetch_model(origin, sha256=sha256 or None, progress=tell)


def add(fetched: "Fetched", id_: str, progress: TaskProgress) -> Path:
    """Put a model that was fetched among the user's own."""
    from napari_sparsessp.models.manage import add_model

    path = add_model(
        fetched.path, id=id_ or None, source=fetched.source, progress=progress
    )
    fetched.forget()
    return path


def free_id(fetched: "Fetched") -> str:
    """Suggest an id for a model whose own is taken; only headers are read."""
    from napari_sparsessp.models.library import all_entries, card_of
    from napari_sparsessp.ui.models.import_dialog import model_id

    taken = {entry.card.id for entry in all_entries() if entry.card is not None}
    return model_id(card_of(fetched.path).id, taken)


def progress_text(done: float, total: float | None, first: float, spent: float) -> str:
    """Say how far a download is, and how long it will take.

    Parameters
    ----------
    done, total : int
        Bytes; the total may be None.
    first : int
        Bytes that were there already when it began.
    spent : float
        Seconds since then.
    """
    if not total:
        return f"{done / 1e6:.1f} MB so far"
    told = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
    if done <= first or spent < 1.0:  # too early to tell
        return told
    return f"{told}, {duration_text(spent / (done - first) * (total - done))} left"

"""Slow work with models: functions for a `BackgroundTask`, without Qt or a viewer."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.models import manage
from napari_sparsessp.models.library import Entry, all_entries
from napari_sparsessp.ui.tasks import TaskProgress

if TYPE_CHECKING:
    from napari_sparsessp.models.verification import Verdict


def list_entries(_progress: TaskProgress) -> tuple[list[Entry], list[manage.Deleted]]:
    """List all models, and those that can be restored."""
    return all_entries(), manage.deleted_models()


def verify(path: Path, progress: TaskProgress) -> "Verdict":
    """Verify a model."""
    from napari_sparsessp.models.verification import verify_model

    progress(0.0, what="checking weights and test values")
    return verify_model(path)


def export(path: Path, out: Path, overwrite: bool, progress: TaskProgress) -> Path:
    """Copy a model to a file or folder of its own."""
    return manage.export_model(path, out, overwrite=overwrite, progress=progress)


def rename(path: Path, name: str, progress: TaskProgress) -> Path:
    """Change the name of a model; its id stays."""
    manage.rename_model(path, name, progress)
    return path


def delete(path: Path, _progress: TaskProgress) -> None:
    """Move a model into the trash."""
    manage.delete_model(path)


def restore(deleted: manage.Deleted, _progress: TaskProgress) -> Path:
    """Move a deleted model back."""
    return manage.restore_model(deleted)


def fetch(origin: str, sha256: str, progress: TaskProgress) -> manage.Fetched:
    """Download a model file, resuming a partial download."""

    def report(done: float, total: float | None = None, what: str = "") -> None:
        if what:
            progress(0.0, what=what)
        elif total:
            progress(done, total, f"{done / 1e6:.1f} of {total / 1e6:.1f} MB")
        else:
            progress(0.0, what=f"{done / 1e6:.1f} MB so far")

    return manage.fetch_model(origin, sha256=sha256 or None, progress=report)


def add(fetched: manage.Fetched, id_: str, progress: TaskProgress) -> Path:
    """Add a downloaded model to the user's own."""
    source, wanted = fetched.source, id_ or None
    path = manage.add_model(fetched.path, id=wanted, source=source, progress=progress)
    fetched.forget()
    return path

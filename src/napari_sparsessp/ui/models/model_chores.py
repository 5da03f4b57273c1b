"""What takes time with models, as functions for a worker thread (`errand`).

They import what they need when they run, and know neither Qt nor the viewer.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.ui.errand import as_progress
from napari_sparsessp.ui.look.duration import duration_text

if TYPE_CHECKING:
    from napari_sparsessp.models.library import Entry
    from napari_sparsessp.models.manage import Deleted, Fetched
    from napari_sparsessp.models.verification import Verdict

Meter = Callable[[str, float], None]


def look(_meter: Meter) -> "tuple[list[Entry], list[Deleted]]":
    """List all models, and those that can be put back."""
    from napari_sparsessp.models.library import all_entries
    from napari_sparsessp.models.manage import deleted_models

    return all_entries(), deleted_models()


def check(path: Path, meter: Meter) -> "Verdict":
    """Verify a model."""
    from napari_sparsessp.models.verification import verify_model

    meter("checking weights and test values", 0.0)
    return verify_model(path)


def export(path: Path, out: Path, overwrite: bool, meter: Meter) -> Path:
    """Copy a model to a file or folder of its own."""
    from napari_sparsessp.models.manage import export_model

    return export_model(path, out, overwrite=overwrite, progress=as_progress(meter))


def rename(path: Path, name: str, meter: Meter) -> Path:
    """Give a model another name for people."""
    from napari_sparsessp.models.manage import rename_model

    rename_model(path, name, as_progress(meter))
    return path


def delete(path: Path, _meter: Meter) -> "Deleted":
    """Move a model into the trash."""
    from napari_sparsessp.models.manage import delete_model

    return delete_model(path)


def undelete(deleted: "Deleted", _meter: Meter) -> Path:
    """Put a model back."""
    from napari_sparsessp.models.manage import restore_model

    return restore_model(deleted)


def fetch(origin: str, sha256: str, meter: Meter) -> "Fetched":
    """Download a model's file; what came before is not fetched again."""
    import time

    from napari_sparsessp.models.manage import fetch_model

    began, first = time.monotonic(), -1.0

    def tell(done: float, total: float | None = None, what: str = "") -> None:
        nonlocal first
        first = done if first < 0 else first
        if what:
            meter(what, 0.0)
            return
        spent = time.monotonic() - began
        meter(progress_text(done, total, first, spent), done / total if total else 0.0)

    return fetch_model(origin, sha256=sha256 or None, progress=tell)


def add(fetched: "Fetched", id_: str, meter: Meter) -> Path:
    """Put a model that was fetched among the user's own."""
    from napari_sparsessp.models.manage import add_model

    path = add_model(
        fetched.path, id=id_ or None, source=fetched.source, progress=as_progress(meter)
    )
    fetched.forget()
    return path


def free_id(fetched: "Fetched") -> str:
    """Suggest an id for a model whose own is taken; only headers are read."""
    from napari_sparsessp.models.library import all_entries, card_of
    from napari_sparsessp.ui.models.import_form import model_id

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

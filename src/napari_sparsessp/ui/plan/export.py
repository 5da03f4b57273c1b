"""Save what the Plan dock found: a table for spreadsheets, a page for browsers."""

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sparsessp.evaluation.sweep_memory import SweepRecord
from napari_sparsessp.ui.tasks import TaskProgress


def ask_path(parent: QWidget, source: str, ending: str, kind: str) -> Path | None:
    """Let the user choose where to save; what is there is replaced only when asked.

    Parameters
    ----------
    parent : QWidget
    source : str
        What was measured: a file or a layer's name.
    ending : str
        Such as ``.csv``.
    kind : str
        What it is, for the window's title.

    Returns
    -------
    Path or None
        None where the user thinks better of it.
    """
    stem = "".join(
        one if one.isalnum() or one in "-_" else "_"
        for one in Path(source).name.split(".")[0]
    )
    name = f"{stem or 'stack'}_plan{ending}"
    path, _ = QFileDialog.getSaveFileName(
        parent, f"Save the {kind}", name, f"{ending[1:].upper()} (*{ending})"
    )
    if not path:
        return None
    chosen = Path(path)
    return chosen if chosen.suffix.lower() == ending else Path(f"{path}{ending}")


def write_record(record: SweepRecord, path: Path, progress: TaskProgress) -> Path:
    """Write the page of a sweep; for `BackgroundTask`, it loads matplotlib.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    from napari_sparsessp.evaluation.html_report import write_page

    progress(0.5, what="Writing the report…")
    assert record.gallery is not None, "pictures are drawn with every ratio"
    write_page(record.report, record.gallery, path)
    return path

"""Save what the Plan dock found: a table for spreadsheets, a page for browsers."""

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sparsessp.ui.errand import Meter
from napari_sparsessp.ui.plan.recall import SweepRecord


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


def write_record(record: SweepRecord, path: Path, meter: Meter) -> Path:
    """Write the page of a sweep; for `Errand`, it loads matplotlib.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    from napari_sparsessp.evaluation.html import write_sweep_page

    meter("Writing the report…", 0.5)
    assert record.gallery is not None, "pictures are drawn with every ratio"
    write_sweep_page(record.report, record.gallery, path)
    return path

"""Save a comparison: a table, a report, a page, a figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import atomic_write
from napari_sparsessp.ui.compare.comparison import Comparison, has_length, light_of
from napari_sparsessp.ui.layers.metadata import KEY, model_of
from napari_sparsessp.ui.tasks import TaskProgress

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.agreement import ComparisonReport

_DIALOGS = {
    "csv": ("Save the table", ".csv", "Table (*.csv)"),
    "json": ("Save the report", ".json", "Report (*.json)"),
    "html": ("Save the page", ".html", "Page (*.html)"),
    "figure": (
        "Save the figure",
        ".png",
        "Picture (*.png);;Drawing (*.svg);;Document (*.pdf)",
    ),
}


def ask_path(parent: QWidget, kind: str) -> Path | None:
    """Let the user choose a file; None where they cancel."""
    title, suffix, filters = _DIALOGS[kind]
    path, chosen = QFileDialog.getSaveFileName(
        parent, title, f"comparison{suffix}", filters
    )
    if not path:
        return None
    target = Path(path)
    if not target.suffix:
        # the suffix that the chosen filter stands for
        target = target.with_suffix(chosen.partition("(*")[2].rstrip(")") or suffix)
        if target.exists():  # the dialog asked about the name without a suffix
            raise OutputError(
                f"{target} exists already; type its whole name to replace it"
            )
    return target


def report_of(comparison: Comparison, wanted: Sequence[str]) -> "ComparisonReport":
    """Collect the scored ones of the structures; InputError where there are none."""
    from napari_sparsessp.evaluation.agreement import ComparisonReport, ScoredStructure

    items = []
    for id_ in wanted:
        truth, agreement = comparison.truth(id_), comparison.agreement(id_)
        if truth is not None and agreement is not None:
            pair = comparison.pair(id_)
            volumes = pair.prediction, pair.truth
            items.append(ScoredStructure(id_, *volumes, str(truth.name), agreement))
    compared = comparison.compared
    if compared is None or not items:
        raise InputError(
            "nothing is scored yet; choose a truth below the table and wait for "
            "the scores"
        )
    first, source = compared.predictions[items[0].name], compared.source
    about = first.metadata[KEY]
    return ComparisonReport(
        tuple(items),
        str(about.get("source", "") if source is None else source.name),
        model_of(first),
        light_of(compared, items[0].name, comparison.time()),
        about.get("provenance") or {},
        tuple(map(int, measured_planes(first))) or None,
        comparison.time(),
        "µm" if has_length(first) else "pixels",
    )


def measured_planes(layer: Any) -> Sequence[float]:
    """Return the planes that were imaged, on the prediction's grid."""
    about = layer.metadata[KEY]
    provenance = about.get("provenance") or {}
    return provenance.get("measured_planes") or about.get("measured_planes") or ()


def write(
    report: "ComparisonReport",
    kind: str,
    path: Path,
    plane: int,
    progress: TaskProgress,
) -> Path:
    """Write the file, in place of one that is there; return its path."""
    progress(0.0, what=f"Writing {path.name}…")
    if kind == "html":
        from napari_sparsessp.evaluation.html import write_comparison_page

        write_comparison_page(report, path)
    elif kind == "figure":
        from napari_sparsessp.evaluation.figures import comparison_figure, write_figure

        write_figure(comparison_figure(report, plane), path, dpi=200)
    else:
        text = report.to_json() if kind == "json" else report.to_csv()
        with atomic_write(path, kind) as part:
            part.write_text(text, encoding="utf-8")
    return path

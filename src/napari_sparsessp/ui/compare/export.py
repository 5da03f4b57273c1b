"""Save a comparison: a table, a report, a page, a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import atomic_write
from napari_sparsessp.ui.compare.comparison import (
    Comparison,
    Pair,
    has_length,
    light_of,
)
from napari_sparsessp.ui.layers.metadata import KEY, model_of
from napari_sparsessp.ui.layers.viewport import layer_index
from napari_sparsessp.ui.tasks import TaskProgress
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.agreement import Agreement, ComparisonReport

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


@dataclass(frozen=True, eq=False)
class Export:
    """A file to write, with all that the thread needs, taken from the layers."""

    kind: str
    path: Path
    pairs: tuple[tuple[Pair, str, "Agreement"], ...]
    input: str
    model: str
    light: Volume | None
    about: dict[str, Any]
    time: int | None
    plane: int
    unit: str


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
        if target.exists():
            raise OutputError(
                f"{target} exists already; type its whole name to replace it"
            )
    return target


def export_of(
    viewer: Any, comparison: Comparison, shown: Sequence[str], kind: str, path: Path
) -> Export:
    """Collect what a file of a kind holds."""
    compared = comparison.compared
    wanted = (kind == "figure" and shown) or comparison.structures()
    pairs = []
    for id_ in wanted:
        truth, agreement = comparison.truth(id_), comparison.agreement(id_)
        if truth is not None and agreement is not None:
            pairs.append((comparison.pair(id_), str(truth.name), agreement))
    if compared is None or not pairs:
        raise InputError(
            "nothing is scored yet; choose a truth below the table and wait for "
            "the scores"
        )
    structure = pairs[0][0].structure
    first = compared.predictions[structure]
    about = dict(first.metadata[KEY])
    source = compared.source
    return Export(
        kind,
        path,
        tuple(pairs),
        str(about.get("source", "") if source is None else source.name),
        model_of(first),
        light_of(compared, structure, comparison.time()),
        about,
        comparison.time(),
        int(layer_index(viewer, first)[-3]),
        "µm" if has_length(first) else "pixels",
    )


def write(export: Export, progress: TaskProgress) -> Path:
    """Write the file, in place of one that is there; return its path."""
    progress(0.0, what=f"Writing {export.path.name}…")
    report = _report(export)
    if export.kind == "html":
        from napari_sparsessp.evaluation.html import write_comparison_page

        write_comparison_page(report, export.path)
    elif export.kind == "figure":
        from napari_sparsessp.evaluation.figures import comparison_figure, write_figure

        write_figure(comparison_figure(report, export.plane), export.path, dpi=200)
    else:
        text = report.to_json() if export.kind == "json" else report.to_csv()
        with atomic_write(export.path, export.kind) as part:
            part.write_text(text, encoding="utf-8")
    return export.path


def _report(export: Export) -> "ComparisonReport":
    from napari_sparsessp.evaluation.agreement import ComparisonReport, ScoredStructure

    provenance = export.about.get("provenance") or {}
    measured = provenance.get("measured_planes") or export.about.get("measured_planes")
    return ComparisonReport(
        tuple(
            ScoredStructure(
                pair.structure, pair.prediction, pair.truth, name, agreement
            )
            for pair, name, agreement in export.pairs
        ),
        export.input,
        export.model,
        export.light,
        provenance,
        None if measured is None else tuple(int(plane) for plane in measured),
        export.time,
        export.unit,
    )

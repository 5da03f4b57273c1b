"""Save what a comparison found: a table, a report, a page, a figure."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sparsessp.errors import InputError, OutputError, SparseSSPError
from napari_sparsessp.files import atomic_write
from napari_sparsessp.ui.compare.comparison import (
    Comparison,
    Pair,
    has_length,
    light_of,
)
from napari_sparsessp.ui.layers.metadata import KEY, model_of
from napari_sparsessp.ui.layers.viewport import layer_index
from napari_sparsessp.ui.tasks import BackgroundTask, TaskProgress, readable_error
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.agreement import Agreement, ComparisonReport

_FILTERS = {
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
class _Order:
    """All that the thread needs, taken from the layers beforehand."""

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


class CompareExport(QObject):
    """Asks where to, and writes off the interface's thread.

    Parameters
    ----------
    viewer : napari.Viewer
    comparison : Comparison
    shown : callable
        Gives the ids of the structures that are to be seen in a figure.
    parent : QWidget

    Signals
    -------
    told : str, object
        What was saved, and None; or what is wrong, and the error.
    """

    told = Signal(str, object)

    def __init__(
        self,
        viewer: Any,
        comparison: Comparison,
        shown: Callable[[], tuple[str, ...]],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._shown = shown
        self._viewer = viewer
        self._comparison = comparison
        self._task: BackgroundTask | None = None
        self._path = Path()

    def ask(self, kind: str) -> None:
        """Let the user choose a file; one that is there only if they say so.

        Parameters
        ----------
        kind : {"csv", "json", "html", "figure"}
        """
        title, ending, kinds = _FILTERS[kind]
        parent = self.parent()
        path, chosen = QFileDialog.getSaveFileName(
            parent, title, f"comparison{ending}", kinds
        )
        if not path:
            return
        target = Path(path)
        if not target.suffix:
            # the dialog has asked about the name without an ending only
            target = target.with_suffix(_ending(chosen) or ending)
            if target.exists():
                why = f"{target} exists already; type its whole name to replace it"
                self.told.emit(why, OutputError(why))
                return
        self.save(kind, target)

    def save(self, kind: str, path: Path) -> None:
        """Write a file, in place of one that is there; `told` follows.

        Parameters
        ----------
        kind : {"csv", "json", "html", "figure"}
        path : Path
        """
        if self._task is not None:
            why = "a file is being written; wait until it is done"
            self.told.emit(why, OutputError(why))
            return
        try:
            order = self._order(kind, path)
        except SparseSSPError as error:
            self.told.emit(str(error), error)
            return
        self._path = path
        self._task = BackgroundTask(_write, order, parent=self)
        self._task.returned.connect(self._on_written)
        self._task.failed.connect(self._on_failed)
        self.told.emit(f"Writing {path.name}…", None)
        self._task.start()

    def _order(self, kind: str, path: Path) -> _Order:
        comparison = self._comparison
        family = comparison.family
        pairs = []
        wanted = comparison.structures()
        if kind == "figure":  # of what is looked at; the others have all
            wanted = self._shown() or wanted
        for id_ in wanted:
            truth, result = comparison.truth(id_), comparison.result(id_)
            if truth is not None and result is not None:
                pairs.append((comparison.pair(id_), str(truth.name), result))
        if family is None or not pairs:
            raise InputError(
                "nothing is scored yet; choose a truth below the table and wait for "
                "the scores"
            )
        first = family.predictions[pairs[0][0].structure]
        source = family.source
        about = dict(first.metadata[KEY])
        name = about.get("source", "") if source is None else source.name
        return _Order(
            kind,
            path,
            tuple(pairs),
            str(name),
            model_of(first),
            light_of(family, pairs[0][0].structure, comparison.time()),
            about,
            comparison.time(),
            int(layer_index(self._viewer, first)[-3]),
            "µm" if has_length(first) else "pixels",
        )

    def _on_written(self, _path: Any) -> None:
        self._end()
        self.told.emit(f"Saved {self._path.name} in {self._path.parent}.", None)

    def _on_failed(self, error: Exception) -> None:
        self._end()
        told = readable_error(error, "the writing of the file")
        self.told.emit(str(told), told)

    def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.deleteLater()


def _ending(chosen: str) -> str:
    """Give the ending that a filter of the dialog stands for."""
    _, _, rest = chosen.partition("(*")
    return rest.rstrip(")")


def _write(order: _Order, progress: TaskProgress) -> Path:
    progress(0.0, what=f"Writing {order.path.name}…")
    report = _report(order)
    if order.kind == "html":
        from napari_sparsessp.evaluation.html import write_comparison_page

        write_comparison_page(report, order.path)
    elif order.kind == "figure":
        from napari_sparsessp.evaluation.figures import comparison_figure, write_figure

        write_figure(comparison_figure(report, order.plane), order.path, dpi=200)
    else:
        text = report.to_json() if order.kind == "json" else report.to_csv()
        with atomic_write(order.path, order.kind) as part:
            part.write_text(text, encoding="utf-8")
    return order.path


def _report(order: _Order) -> "ComparisonReport":
    from napari_sparsessp.evaluation.agreement import ComparisonReport, ScoredStructure

    provenance = order.about.get("provenance") or {}
    measured = provenance.get("measured_planes") or order.about.get("measured_planes")
    return ComparisonReport(
        tuple(
            ScoredStructure(pair.structure, pair.prediction, pair.truth, name, result)
            for pair, name, result in order.pairs
        ),
        order.input,
        order.model,
        order.light,
        provenance,
        None if measured is None else tuple(int(one) for one in measured),
        order.time,
        order.unit,
    )

"""What a sweep says: the answer, its curve, what each ratio costs, and where to go on.

Only widgets and how a report appears in them; `plan_dock` gives them their meaning.
"""

from collections.abc import Collection
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sparsessp.evaluation.sampling_advice import KeepShare
from napari_sparsessp.evaluation.sweep_report import judged, need_of
from napari_sparsessp.sparse import SparseView
from napari_sparsessp.ui.inputs.z_axis_drawing import ZAxisDrawing
from napari_sparsessp.ui.look.chart import Chart
from napari_sparsessp.ui.look.segments import Segments
from napari_sparsessp.ui.look.theme import Tones
from napari_sparsessp.ui.plan.curves import (
    SCORES,
    curves_of,
    legend_of,
    place_of,
    range_of,
    ratio_at,
    rows_of,
    ticks_of,
)
from napari_sparsessp.ui.plan.parts import (
    number_field,
    side_by_side,
    visible_on,
    wrapped,
)
from napari_sparsessp.ui.plan.table import RatioTable, RatioView
from napari_sparsessp.ui.plan.words import cost_sentence, each_sentence, listed, nth
from napari_sparsessp.ui.preferences import preferences

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.sweep_report import SweepReport

_CHART_HEIGHT = 180


class PlanResult(QWidget):
    """Answer, chart, table, drawing and what to do with them.

    Signals
    -------
    ratio_chosen : int
        Another ratio is looked at.
    use_asked : int
        The user wants to predict at this ratio.
    csv_asked, page_asked
        The user wants to save the table, or the report.
    """

    ratio_chosen = Signal(int)
    use_asked = Signal(int)
    csv_asked = Signal()
    page_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._measured: SweepReport | None = None
        self._shown: frozenset[str] = frozenset()
        self._chosen: int | None = None
        self._by_hand = False
        self._growing = False
        self._tones: Tones | None = None
        self._planned: frozenset[int] = frozenset()
        self.answer = wrapped("body")
        self.answer.setTextFormat(Qt.TextFormat.RichText)
        self.each = wrapped("small")
        self.score = Segments(
            [
                ("r2", "R²", "Brightness and pattern: 1 is perfect, 0 a flat grey."),
                (
                    "pcc_plane",
                    "Pattern",
                    "Pearson's correlation within planes: blind to brightness and "
                    "contrast. Look here where R² cannot tell.",
                ),
            ],
            "Score",
        )
        self.keep = number_field(50, 100, 95, "keep ", " %")
        self.keep.setAccessibleName("Share of the score to keep, in percent")
        self.keep.setToolTip(
            "Enough is what keeps this share of the score that all planes give. "
            "Nothing is measured anew when you change it."
        )
        self.chart = Chart("every r-th plane is imaged: r", "R²")
        self.chart.setFixedHeight(_CHART_HEIGHT)
        self.chart.setToolTip("Click a ratio to see what it means.")
        self.table = RatioTable()
        self.view = RatioView(self.table)
        self.legend = wrapped("small")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.drawing = ZAxisDrawing()
        self.drawing.setToolTip(
            "The planes that would be imaged at the chosen ratio (tall), and those "
            "that the network would predict (short)."
        )
        self.sentence = wrapped("small")
        self._make_cost_fields()
        self.use_button = QPushButton("")
        self.csv_button = QPushButton("Save table…")
        self.csv_button.setToolTip("All scores, light and times as CSV.")
        self.page_button = QPushButton("Save report…")
        self.page_button.setToolTip(
            "One HTML page with curves, scores and pictures of every ratio; it opens "
            "in any browser."
        )
        self._arrange()
        self._connect()
        self.show_report(None)

    def _make_cost_fields(self) -> None:
        self.plane_ms = number_field(0, 60_000, 50, "", " ms a plane", bare=True)
        self.plane_ms.setAccessibleName("Milliseconds for each plane")
        self.plane_ms.setToolTip(
            "Exposure of one plane; add what moving and reading out take, if you know "
            "it."
        )
        self.times = number_field(1, 100_000, 1, "× ", " stack", bare=True)
        self.times.setAccessibleName("Stacks of the time-lapse")
        self.times.setToolTip("How many stacks the time-lapse shall have.")

    def _arrange(self) -> None:
        top = side_by_side(self.score, self.keep)
        self.use_button.setProperty("role", "primary")
        for button in (self.use_button, self.csv_button, self.page_button):
            button.setProperty("letters", "compact")
            button.setMinimumWidth(60)
        cost = side_by_side(self.plane_ms, self.times)
        saving = side_by_side(self.csv_button, self.page_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        for widget in (
            *(self.answer, top, self.chart, self.legend, self.view, self.use_button),
            *(cost, self.drawing, self.sentence, self.each, saving),
        ):
            column.addWidget(widget)

    def _connect(self) -> None:
        self.score.chosen.connect(lambda _key: self._draw())
        self.keep.valueChanged.connect(self._on_keep)
        self.plane_ms.valueChanged.connect(lambda _value: self._draw_rows())
        self.times.valueChanged.connect(self._on_times)
        self.chart.clicked.connect(self._on_chart)
        self.view.chosen.connect(self._on_row)
        self.use_button.clicked.connect(self._on_use)
        self.csv_button.clicked.connect(lambda _on: self.csv_asked.emit())
        self.page_button.clicked.connect(lambda _on: self.page_asked.emit())

    # what the dock says -------------------------------------------------------

    def show_report(
        self,
        report: "SweepReport | None",
        *,
        growing: bool = False,
        planned: Collection[int] = (),
    ) -> None:
        """Show a sweep, whole or as far as it is; None hides all.

        Parameters
        ----------
        report : SweepReport or None
        growing : bool
            More ratios will come: nothing is decided or saved yet.
        planned : collection of int
            All ratios that there will be.
        """
        self._growing, self._planned = growing, frozenset(planned)
        fresh = report is None or self._measured is None or not growing
        self._measured = report
        self.setVisible(report is not None)
        for button in (self.use_button, self.csv_button, self.page_button):
            button.setEnabled(not growing)
        if report is None:
            self._chosen, self._by_hand = None, False
            return
        if fresh and not growing:
            self._suggest()
        self._draw()

    def show_structures(self, ids: Collection[str]) -> None:
        """Draw the curves of these structures."""
        if frozenset(ids) != self._shown:
            self._shown = frozenset(ids)
            self._draw()

    def set_times(self, count: int) -> None:
        """Take over the length of a time-lapse."""
        self.times.setValue(count)

    # what the dock asks -------------------------------------------------------

    def report(self) -> "SweepReport | None":
        """What is shown, with the answer by the rule that is chosen."""
        if self._measured is None:
            return None
        return judged(self._measured, KeepShare(self.keep.value() / 100))

    def ratio(self) -> int | None:
        """The ratio that is chosen."""
        return self._chosen

    def choose(self, ratio: int) -> None:
        """Choose a ratio, as a click on it does."""
        self._by_hand = True
        self._choose(ratio)

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme: pale curves are darkened for a pale back."""
        super().changeEvent(event)
        other = event is not None and event.type() == QEvent.Type.PaletteChange
        if other and self._measured is not None and Tones.of(self) != self._tones:
            self._draw()

    # inside -------------------------------------------------------------------

    def _suggest(self) -> None:
        """Choose what the answer names, and the score that it goes by."""
        report = self.report()
        assert report is not None
        ratios = [one.ratio for one in report.ratios]
        if self._by_hand and self._chosen in ratios:
            return
        self._by_hand = False
        self._chosen = report.ratio_needed or ratios[0]
        by_pattern = need_of(report) is None and report.ratio_needed is not None
        self.score.set_value("pcc_plane" if by_pattern else "r2")

    def _draw(self) -> None:
        report = self.report()
        if report is None:
            return
        self.answer.setText(_told(report, self._growing))
        self.answer.setAccessibleName(report.answer)
        each = each_sentence(report)
        self.each.setText(each)
        self.each.setVisible(bool(each))
        score = self.score.value()
        self._tones = Tones.of(self)
        faint = self._tones.muted.name()
        ratios = {one.ratio for one in report.ratios} | self._planned
        curves = curves_of(report, score, self._shown, self._colour, faint, max(ratios))
        self.chart.set_labels("every r-th plane is imaged: r", SCORES[score])
        self.chart.set_x_ticks(ticks_of(sorted(ratios)))
        self.chart.set_y_range(*range_of(curves))
        # their names stand below, where they hide nothing
        self.chart.set_curves([replace(one, name="") for one in curves])
        self.legend.setText(legend_of(curves))
        self._draw_rows()

    def _colour(self, structure: str) -> str:
        """A structure's colour, as it can be seen on the chart's back."""
        return visible_on(QColor(preferences().colour(structure)), Tones.of(self))

    def _draw_rows(self) -> None:
        report = self.report()
        if report is None:
            return
        score, times = self.score.value(), int(self.times.value())
        rows = rows_of(report, score, self.plane_ms.value(), times)
        heading = "R²" if score == "r2" else "Pattern"
        self.table.set_rows(rows, heading)
        self.view.show_series(times > 1)
        chosen = self._chosen if self._chosen is not None else rows[0].ratio
        self._choose(chosen)

    def _choose(self, ratio: int) -> None:
        report = self.report()
        row = self.table.row_of(ratio)
        if report is None or row < 0:
            return
        self._chosen = ratio
        self.ratio_chosen.emit(ratio)
        self.view.choose(ratio)
        self.chart.set_cursor(place_of(ratio))
        view = SparseView.simulate(report.depth, float(ratio))
        self.drawing.show_view(view, _step(report))
        found = self.table.rows[row]
        self.sentence.setText(cost_sentence(found.cost, found.predicted))
        every = "every plane" if ratio == 1 else f"every {nth(ratio)} plane"
        self.use_button.setText(f"Use {every} in Predict")
        self.use_button.setToolTip(
            f"Open Predict with this stack, model and {every}; the others are not "
            "looked at."
        )

    def _on_keep(self, _value: float) -> None:
        if self._measured is not None:
            self._by_hand = False
            self._chosen = None
            report = self.report()
            assert report is not None
            self._chosen = report.ratio_needed or report.ratios[0].ratio
        self._draw()

    def _on_times(self, value: float) -> None:
        self.times.setSuffix(" stack" if value == 1 else " stacks")
        self._draw_rows()

    def _on_chart(self, place: float) -> None:
        if self._measured is not None:
            ratios = [one.ratio for one in self._measured.ratios]
            self.choose(ratio_at(place, ratios))

    def _on_row(self, ratio: int) -> None:
        self.choose(ratio)

    def _on_use(self, _on: bool) -> None:
        if self._chosen is not None:
            self.use_asked.emit(self._chosen)


def _told(report: "SweepReport", growing: bool) -> str:
    """The answer as rich text: in bold what it comes to."""
    if growing:
        done = listed([str(one.ratio) for one in report.ratios])
        return f"So far r = {done}. The answer comes with the last ratio."
    head, stop, rest = report.answer.replace("-", "\u2212").partition(". ")
    if need_of(report) is None:
        return escape(head + stop + rest)
    return (
        f"<b>{escape(head)}.</b> {escape(rest)}" if stop else f"<b>{escape(head)}</b>"
    )


def _step(report: "SweepReport") -> float:
    """Distance of two planes of the dense stack in µm."""
    return report.voxel_size[0]

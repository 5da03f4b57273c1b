"""The result of a sweep: answer, curve, cost of each ratio, and the next step."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Annotated

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QPushButton, QWidget

from napari_sparsessp.evaluation.sampling_advice import KeepShare
from napari_sparsessp.evaluation.sweep_report import judged, need_of
from napari_sparsessp.sparse import SparseView
from napari_sparsessp.ui.plan.curves import (
    SCORES,
    RatioRow,
    cost_sentence,
    curves_of,
    each_sentence,
    legend_of,
    listed,
    nth,
    range_of,
    rows_of,
    seconds_text,
)
from napari_sparsessp.ui.preferences import preferences
from napari_sparsessp.ui.widgets.basic import (
    Segments,
    in_a_column,
    side_by_side,
    wrapped_label,
)
from napari_sparsessp.ui.widgets.charts import Chart
from napari_sparsessp.ui.widgets.forms import Form
from napari_sparsessp.ui.widgets.numbers import local
from napari_sparsessp.ui.widgets.sampling import ZAxisDrawing
from napari_sparsessp.ui.widgets.style import Tones, mix
from napari_sparsessp.ui.widgets.table import Column, Kind, RowsModel
from napari_sparsessp.ui.widgets.table_view import RowsView

if TYPE_CHECKING:
    from napari_sparsessp.evaluation.sweep_report import SweepReport

_CHART_HEIGHT = 180
_X_LABEL = "sparsity ratio r: 1 plane in r is imaged"

# Lightness, of 255, by which a line must differ from what is behind it.
_CONTRAST = 55

_SCORE_TIP = (
    "How good the prediction is, over the chosen structures; ✓ where it keeps what you "
    "ask for."
)


def _score_text(row: RatioRow) -> str:
    value = "–" if row.score is None else local(f"{row.score:.3f}")
    mark = {True: " ✓", False: " ✗", None: ""}[row.enough]
    return value.replace("-", "\u2212") + mark


def _score_tip(row: RatioRow) -> str:
    if row.kept is None or row.score is None:
        return _SCORE_TIP
    kept = f"{row.score:.3f}, {100 * row.kept:.0f} % of the densest stack's"
    return f"{kept}\n{_SCORE_TIP}"


def _seconds(row: RatioRow, seconds: float) -> str:
    return local(seconds_text(seconds)) if row.cost.plane_ms else "–"


COLUMNS = (
    Column(
        "ratio",
        "Every",
        lambda row: "all" if row.ratio == 1 else nth(row.ratio),
        "One plane is imaged for every so many of the dense stack.",
    ),
    Column(
        "planes",
        "Planes",
        lambda row: str(row.cost.planes),
        "Planes to image for each stack.",
        kind=Kind.NUMBER,
    ),
    Column(
        "score",
        "R²",
        _score_text,
        _SCORE_TIP,
        kind=Kind.NUMBER,
        cell_tip=_score_tip,
        ink=lambda row: {True: "good", False: "muted"}.get(row.enough),
    ),
    Column(
        "light",
        "Light",
        lambda row: local(f"{100 * row.cost.light:.3g} %"),
        "Light dose, as a share of that of the dense stack.",
        kind=Kind.NUMBER,
    ),
    Column(
        "stack",
        "Stack",
        lambda row: _seconds(row, row.cost.stack_seconds),
        "Time to image one stack.",
        kind=Kind.NUMBER,
        gives_way=1,  # the sentence below says it as well
    ),
    Column(
        "series",
        "Series",
        lambda row: _seconds(row, row.cost.series_seconds),
        "Time of imaging in the whole time-lapse.",
        kind=Kind.NUMBER,
        gives_way=2,
        shown=lambda rows: any(row.cost.times > 1 for row in rows),
    ),
)


@dataclass(frozen=True)
class Rule:
    """Rule by which a score is enough."""

    keep: Annotated[
        int,
        {
            "prefix": "keep ",
            "unit": " %",
            "min": 50,
            "max": 100,
            "name": "Share of the score to keep, in percent",
            "tooltip": "Enough is what keeps this share of the score that all planes "
            "give. Nothing is measured anew when you change it.",
        },
    ] = 95


@dataclass(frozen=True)
class Imaging:
    """Cost of imaging at the microscope."""

    plane_ms: Annotated[
        int,
        {
            "unit": " ms a plane",
            "max": 60_000,
            "arrows": False,
            "name": "Milliseconds for each plane",
            "tooltip": "Exposure of one plane; add what moving and reading out take, "
            "if you know it.",
        },
    ] = 50
    stacks: Annotated[
        int,
        {
            "prefix": "× ",
            "unit": " stack",
            "min": 1,
            "max": 100_000,
            "arrows": False,
            "name": "Stacks of the time-lapse",
            "tooltip": "How many stacks the time-lapse shall have.",
        },
    ] = 1


class PlanResult(QWidget):
    """Answer, chart, table, drawing and what to do with them."""

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
        self.answer = wrapped_label("body")
        self.answer.setTextFormat(Qt.TextFormat.RichText)
        self.each = wrapped_label("small")
        self.score = Segments(
            [
                ("r2", "R²", "Brightness and pattern: 1 is perfect, 0 a flat grey."),
                (
                    "pcc_plane",
                    "PCC in planes",
                    "Pearson's correlation within planes: blind to brightness and "
                    "contrast. Look here where R² cannot tell.",
                ),
            ],
            "Score",
        )
        self.rule = Form(Rule, beside=True)
        self.imaging = Form(Imaging, beside=True)
        self.chart = Chart(_X_LABEL, "R²")
        self.chart.setFixedHeight(_CHART_HEIGHT)
        self.chart.setToolTip("Click a ratio to see what it means.")
        self.table = RowsModel(COLUMNS, key=lambda row: row.ratio)
        self.view = RowsView(
            self.table,
            "Ratios: planes, score, light and time",
            emphasised=True,
            even=True,
        )
        self.legend = wrapped_label("small")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.drawing = ZAxisDrawing()
        self.drawing.setToolTip(
            "The planes that would be imaged at the chosen ratio (tall), and those "
            "that the network would predict (short)."
        )
        self.sentence = wrapped_label("small")
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

    def _arrange(self) -> None:
        top = side_by_side(self.score, self.rule)
        self.use_button.setProperty("role", "primary")
        for button in (self.use_button, self.csv_button, self.page_button):
            button.setProperty("letters", "compact")
            button.setMinimumWidth(60)
        saving = side_by_side(self.csv_button, self.page_button)
        in_a_column(
            self,
            *(self.answer, top, self.chart, self.legend, self.view, self.use_button),
            *(self.imaging, self.drawing, self.sentence, self.each, saving),
            spacing=6,
        )

    def _connect(self) -> None:
        self.score.chosen.connect(self._draw)
        self.rule.changed.connect(self._on_rule)
        self.imaging.changed.connect(self._draw_rows)
        self.chart.clicked.connect(self._on_chart)
        self.view.chosen.connect(self.choose)
        self.use_button.clicked.connect(self._on_use)
        self.csv_button.clicked.connect(self.csv_asked)
        self.page_button.clicked.connect(self.page_asked)

    def show_report(
        self,
        report: "SweepReport | None",
        *,
        growing: bool = False,
        planned: Collection[int] = (),
    ) -> None:
        """Show a sweep, whole or as far as it is; None hides all."""
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
        self.imaging.update(stacks=count)
        self._draw_rows()

    def report(self) -> "SweepReport | None":
        """The shown report, with the answer by the chosen rule."""
        if self._measured is None:
            return None
        return judged(self._measured, KeepShare(self.rule.values().keep / 100))

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
        self.answer.setText(_answer(report, self._growing))
        self.answer.setAccessibleName(report.answer)
        each = each_sentence(report)
        self.each.setText(each)
        self.each.setVisible(bool(each))
        score = self.score.value()
        self._tones = Tones.of(self)
        faint = self._tones.muted.name()
        ratios = {one.ratio for one in report.ratios} | self._planned
        curves = curves_of(report, score, self._shown, self._colour, faint, max(ratios))
        self.chart.set_labels(_X_LABEL, SCORES[score])
        self.chart.set_x_ticks([(math.log2(one), str(one)) for one in sorted(ratios)])
        self.chart.set_y_range(*range_of(curves))
        # their names stand below, where they hide nothing
        self.chart.set_curves([replace(one, name="") for one in curves])
        self.legend.setText(legend_of(curves))
        self._draw_rows()

    def _colour(self, structure: str) -> str:
        """A structure's colour, as it can be seen on the chart's back."""
        return visible_on(QColor(preferences().colour(structure)), Tones.of(self))

    def _draw_rows(self) -> None:
        imaging = self.imaging.values()
        plural = "" if imaging.stacks == 1 else "s"
        self.imaging.native("stacks").setSuffix(f" stack{plural}")
        report = self.report()
        if report is None:
            return
        score = self.score.value()
        rows = rows_of(report, score, imaging.plane_ms, imaging.stacks)
        self.table.set_title("score", "R²" if score == "r2" else "PCC")
        self.table.set_rows(rows)
        self._choose(rows[0].ratio if self._chosen is None else self._chosen)

    def _choose(self, ratio: int) -> None:
        report = self.report()
        row = self.table.row(ratio)
        if report is None or row is None:
            return
        self._chosen = ratio
        self.ratio_chosen.emit(ratio)
        self.view.choose(ratio)
        self.chart.set_cursor(math.log2(ratio))
        view = SparseView.simulate(report.depth, float(ratio))
        self.drawing.show_view(view, report.voxel_size[0])
        self.sentence.setText(cost_sentence(row.cost, row.predicted))
        every = "every plane" if ratio == 1 else f"every {nth(ratio)} plane"
        self.use_button.setText(f"Use {every} in Predict")
        self.use_button.setToolTip(
            f"Open Predict with this stack, model and {every}; the others are not "
            "looked at."
        )

    def _on_rule(self) -> None:
        report = self.report()
        if report is not None:
            self._by_hand = False
            self._chosen = report.ratio_needed or report.ratios[0].ratio
        self._draw()

    def _on_chart(self, place: float) -> None:
        if self._measured is not None:
            ratios = [one.ratio for one in self._measured.ratios]
            self.choose(min(ratios, key=lambda one: abs(math.log2(one) - place)))

    def _on_use(self) -> None:
        if self._chosen is not None:
            self.use_asked.emit(self._chosen)


def _answer(report: "SweepReport", growing: bool) -> str:
    """Return the answer as rich text: in bold what it comes to."""
    if growing:
        done = listed([str(one.ratio) for one in report.ratios])
        return f"So far r = {done}. The answer comes with the last ratio."
    answer = report.answer.replace("-", "\u2212")
    if need_of(report) is None:
        return escape(answer)
    head, stop, rest = map(escape, answer.partition(". "))
    return f"<b>{head}.</b> {rest}" if stop else f"<b>{head}</b>"


def visible_on(colour: QColor, tones: Tones) -> str:
    """Return a colour that stands out from the back; the catalogue's are for black."""
    for share in (0.0, 0.2, 0.35, 0.5):
        mixed = mix(colour, tones.text, share)
        if abs(mixed.lightness() - tones.panel.lightness()) > _CONTRAST:
            return mixed.name()
    return tones.text.name()

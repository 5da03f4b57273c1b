"""Curves of a chart: drawn on demand, in the theme's colours, and clicked."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_sparsessp.ui.widgets.charts import Chart, Curve

PLANES = np.arange(30)


def chart_of(qtbot, *curves):
    chart = Chart("plane", "R²")
    qtbot.addWidget(chart)
    chart.resize(400, 200)
    chart.set_curves(curves, marks=PLANES[::4])
    chart.show()
    qtbot.waitExposed(chart)
    return chart


def test_a_click_says_where_on_the_x_axis(qtbot):
    chart = chart_of(qtbot, Curve("DNA", PLANES, PLANES / 30, "#56b4e9", dots=True))
    plot = chart._plot
    middle = plot.getViewBox().sceneBoundingRect().center()
    with qtbot.waitSignal(chart.clicked) as told:
        qtbot.mouseClick(
            plot.viewport(),
            Qt.MouseButton.LeftButton,
            pos=QPoint(round(middle.x()), round(middle.y())),
        )
    assert told.args[0] == pytest.approx(14.5, abs=2), plot.getViewBox().viewRange()


def test_new_curves_take_the_place_of_the_old_and_a_missing_value_is_a_gap(qtbot):
    chart = chart_of(qtbot, Curve("a", PLANES, PLANES))
    gap = np.where(PLANES == 9, np.nan, PLANES)
    chart.set_curves([Curve("b", PLANES, gap), Curve("c", PLANES, -PLANES)])
    assert len(chart._plot.listDataItems()) == 2
    low, high = chart._plot.getViewBox().viewRange()[1]
    assert np.isfinite([low, high]).all()


def test_few_curves_are_named_above_the_plot_and_markup_is_shown_as_text(qtbot):
    chart = chart_of(qtbot, Curve("<b>DNA", PLANES, PLANES, "#56b4e9"))
    assert chart.legend.isVisible()
    assert "&lt;b&gt;DNA" in chart.legend.text()
    chart.set_curves([Curve(str(n), PLANES, PLANES) for n in range(12)])
    assert not chart.legend.isVisible()


def test_the_axis_says_values_as_they_are(qtbot):
    chart = chart_of(qtbot, Curve("DNA", PLANES, PLANES / 100))
    for _ in range(2):  # labels may be set again and again
        chart.set_labels("ratio", "R²")
    axis = chart._plot.getAxis("left")
    assert axis.autoSIPrefixScale == 1, "0.3 is never written as 300"

"""Progress of a dialog's task: how far, and how long still where that can be known."""

import pytest

from napari_sparsessp.ui.widgets.dialog import TaskDialog


@pytest.mark.parametrize(
    ("share", "left", "end", "steps"),
    [
        (0.0, None, "…", 0),  # the size is unknown: the bar runs
        (0.5, None, "…", 1000),
        (0.01, 100.0, "…", 1000),  # too early for an estimate
        (0.5, 10.0, ", 10 s left", 1000),
        (1.0, 0.0, "…", 1000),
    ],
)
def test_the_time_left_is_shown_once_it_can_be_estimated(
    added, share, left, end, steps
):
    dialog = added(TaskDialog("Fetch", "the download", "Fetch"))
    dialog.show_progress(share, "file 1 of 2", left)
    assert dialog.status.text() == f"File 1 of 2{end}"
    assert dialog.bar.maximum() == steps
    assert dialog.bar.value() == (round(1000 * share) if steps else dialog.bar.value())

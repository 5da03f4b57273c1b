"""A slow screen is drawn less often, a fast one as often as the eye can use."""

import time

import pytest

from napari_sparsessp.ui.draw_pace import REFRESH_2D_MS, REFRESH_3D_MS, DrawPace


@pytest.fixture
def pace(qapp):
    return DrawPace()


def draw(pace, seconds, qtbot):
    pace.begin()
    time.sleep(seconds)  # as a draw that holds the interface's thread
    qtbot.waitUntil(lambda: not pace._timer.isActive())


def test_at_first_only_the_number_of_dimensions_counts(pace):
    assert pace.pause_ms(three=False) == REFRESH_2D_MS
    assert pace.pause_ms(three=True) == REFRESH_3D_MS


def test_a_draw_of_300_ms_leaves_the_window_free_for_thrice_as_long(pace, qtbot):
    draw(pace, 0.3, qtbot)
    assert pace.pause_ms(three=False) >= 3 * 280
    assert pace.pause_ms(three=True) >= 3 * 280

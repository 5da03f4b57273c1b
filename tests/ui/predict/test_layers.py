"""A slow screen is drawn less often, a fast one as often as the eye can use."""

import time

import pytest

from napari_sparsessp.ui.predict import layers
from napari_sparsessp.ui.predict.layers import DrawPace
from napari_sparsessp.ui.preferences import Preferences


@pytest.fixture
def pace(qapp):
    return DrawPace()


def draw(pace, seconds, qtbot):
    pace.begin()
    time.sleep(seconds)  # as a draw that holds the interface's thread
    qtbot.waitUntil(lambda: not pace._timer.isActive())


def test_at_first_only_the_preference_for_2d_or_3d_counts(pace, monkeypatch):
    assert pace.pause_ms(three=False) == 100
    assert pace.pause_ms(three=True) == 700
    wish = Preferences(refresh_2d_ms=40, refresh_3d_ms=1500)
    monkeypatch.setattr(layers, "preferences", lambda: wish)
    assert pace.pause_ms(three=False) == 40
    assert pace.pause_ms(three=True) == 1500


def test_a_draw_of_300_ms_leaves_the_window_free_for_thrice_as_long(pace, qtbot):
    draw(pace, 0.3, qtbot)
    assert pace.pause_ms(three=False) >= 3 * 280
    assert pace.pause_ms(three=True) >= 3 * 280

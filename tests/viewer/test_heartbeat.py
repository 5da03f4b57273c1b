"""The window stays alive while a field of view with twelve structures comes in.

``pytest tests/viewer/test_heartbeat.py -s`` prints the longest stretches of work.
"""

import gc

import pytest

from fake_engine import light
from heartbeat import Heartbeat

# The aim is 0.05 s. What napari itself takes to make one layer is more on a slow
# machine (0.07 to 0.1 s on two shared cores), and no test may hang on a busy one.
WITH_NEW_LAYERS = 0.5
WITH_OLD_LAYERS = 0.2


@pytest.fixture
def busy(predict_on, engine):
    """A dock with a stack as large as a field of view, and 54 tiles to come."""
    engine.tile, engine.pause = 48, 0.005
    dock = predict_on(light(33, 204, 341), scale=(0.29,) * 3)
    gc.collect()
    return dock


@pytest.fixture
def pulse(busy, ran, qtbot):
    """`pulse(what)`: run and give the longest stretch in seconds of work."""

    def go(what):
        heart = Heartbeat()
        heart.start()
        ran(busy)
        qtbot.wait(100)
        heart.stop()
        print(
            f"\n{what}: {heart.longest:.3f} s of work, {heart.wall:.3f} s by the clock"
        )
        return heart.longest

    return go


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_no_long_stretch_of_work_during_a_prediction(
    viewer, busy, pulse, qtbot, ndisplay
):
    assert pulse("with layers to make") < WITH_NEW_LAYERS
    viewer.dims.ndisplay = ndisplay
    qtbot.wait(50)
    assert pulse(f"with layers that are there, in {ndisplay}D") < WITH_OLD_LAYERS

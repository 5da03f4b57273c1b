"""How the time left is told: from steps that were done."""

import pytest

from napari_sparsessp.tasks import TimeLeft


def test_the_time_left_follows_from_steps_and_grows_where_one_takes_too_long():
    """A benchmark once stood for nine minutes at "about 0:01 left"."""
    now = 100.0
    time_left = TimeLeft(lambda: now)
    assert time_left(0.0) is None
    now = 105.0
    assert time_left(0.0) is None, "nothing was done yet"
    told = []
    for now, share in (  # noqa: B007 - the clock reads it
        (110.0, 0.5), (114.0, 0.5), (120.0, 0.9), (121.0, 0.9), (660.0, 0.9),
        (661.0, 1.0),
    ):  # fmt: skip
        told.append(time_left(share))
    assert told == pytest.approx([10, 6, 20 / 9, 11 / 9, 540 - 20 / 9, 0])

"""Unknown axes of plain TIFFs become z first, then channel, then time."""

import pytest

from napari_sparsessp.io.reading import known_axes


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ("YX", "YX"),
        ("ZYX", "ZYX"),
        ("IYX", "ZYX"),
        ("QYX", "ZYX"),
        ("TYX", "TYX"),
        ("QQYX", "CZYX"),
        ("TQYX", "TZYX"),
        ("ZQYX", "ZCYX"),
        ("QQQYX", "TCZYX"),
        ("QQQQYX", "QTCZYX"),
        ("YXS", "YXS"),
        ("IYXS", "ZYXS"),
    ],
)
def test_axes_are_named_from_the_right(axes, expected):
    assert known_axes(axes) == expected

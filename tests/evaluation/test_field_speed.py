"""The benchmark of one field of view: counts, scaling, what is written and shown."""

import json
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.evaluation import speed
from napari_sparsessp.evaluation.speed import (
    FIELD,
    FieldOptions,
    FieldRow,
    cropped,
    field_rows,
    measure_field,
    window_corners,
)
from napari_sparsessp.evaluation.speed_tables import (
    field_cells,
    field_text,
    seconds_text,
)
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.networks.cost import count_cost
from napari_sparsessp.subprocesses import WorkerFailed

SHAPE = (16, 16, 20)
TINY = {
    "backbone": "plain",
    "topology": "3d",
    "depth": 8,
    "outputs": 3,
    "encoder_widths": (2, 4),
    "decoder_widths": (2,),
}
OPTIONS = FieldOptions(shape=SHAPE, windows=2, repeats=1)


def tiny_rows():
    """No time, and every kind."""
    repmode = NetworkConfig(**TINY, conditioning="repmode")
    fnet = NetworkConfig(**{**TINY, "backbone": "fnet", "outputs": 1})
    window = (8, 8, 8)
    return [
        FieldRow("ours", "engine", precision="fp32"),
        FieldRow("tiny FNet", "whole", fnet, passes=3),
        FieldRow("tiny RepMode", "windows", repmode, passes=3, window=window),
    ]


@pytest.fixture(scope="module")
def results():
    """All rows, really measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "LISTENED", 0.01)
        return list(measure_field(tiny_rows(), OPTIONS))


axis = st.tuples(st.integers(1, 9), st.integers(0, 40))


@given(st.tuples(axis, axis, axis), st.sampled_from([0.0, 0.25, 0.5, 0.75]))
@settings(max_examples=50, deadline=None)
def test_windows_are_those_of_a_sliding_window(axes, overlap):
    """Counted one by one: by half windows until the end is reached."""
    window = tuple(4 * size for size, _ in axes)
    shape = tuple(4 * size + more for size, more in axes)
    expected = 1
    for length, size in zip(shape, window, strict=True):
        start, count = 0, 1
        while start + size < length:
            start += round(size * (1 - overlap))
            count += 1
        expected *= count
    corners = window_corners(shape, window, overlap)
    assert len(corners) == len(set(corners)) == expected
    for corner in corners:
        assert all(
            0 <= a <= n - w for a, n, w in zip(corner, shape, window, strict=True)
        )


@given(st.tuples(*[st.integers(16, 400)] * 3))
def test_fnet_gets_the_largest_multiple_of_16_inside(shape):
    for length, kept in zip(shape, cropped(shape), strict=True):
        assert kept % 16 == 0
        assert kept <= length < kept + 16


def test_published_networks_have_their_published_cost():
    """docs/networks.md: GMAC for a patch of 32×128×128, one structure.

    4 × 3 × 5 windows (models.md 5.3), each structure by itself.
    """
    ours, _, *published = field_rows()
    assert ours.network is None
    costs = [count_cost(row.network, [0]).gmac for row in published]
    assert costs == pytest.approx([120.34, 238.10, 546.18], abs=0.01)
    assert [row.passes for row in published] == [12, 12, 12]
    assert [row.pieces(FIELD) for row in published] == [12, 720, 720]


def test_pieces_are_scaled_by_their_exact_number(results):
    assert [len(result["rows"]) for result in results] == [1, 2, 3]
    assert [result["finished"] for result in results] == [False, False, True]
    result = json.loads(json.dumps(results[-1]))
    ours, fnet, repmode = result["rows"]
    assert fnet["seconds"] == pytest.approx(3 * fnet["seconds_piece"])
    assert (fnet["measured"], fnet["pieces"]) == (1, 3)
    corners = window_corners(SHAPE, (8, 8, 8), 0.5)
    assert (repmode["measured"], repmode["pieces"]) == (2, 3 * len(corners))
    pieces = repmode["pieces"] * repmode["seconds_piece"]
    merges = [n * repmode["seconds_merge"] for n in (repmode["pieces"], 3)]
    assert repmode["seconds"] == pytest.approx(pieces + merges[0])
    assert repmode["seconds_mixed_once"] == pytest.approx(pieces + merges[1])
    for row in (ours, fnet, repmode):
        assert row["ratio"] == pytest.approx(row["seconds"] / ours["seconds"])
        assert row["peak_mib"] > 0
    about = ours["structures"], ours["precision"], ours["pieces"]
    assert about == (12, "fp32", 1)
    assert 0 < ours["first_tile"] <= ours["seconds_first"]
    text = field_text(result)
    for said in ("from 2 of", "from 1 of 3 structures", "– kernels mixed only once"):
        assert said in text
    assert "PROVISIONAL" in field_text({**result, "busy": 1.5})
    assert "PROVISIONAL" not in field_text({**result, "busy": 0.1})


def test_a_row_that_fails_or_does_not_fit_is_left_out(monkeypatch):
    def failing(job, threads, tick):
        raise WorkerFailed("no such network")

    monkeypatch.setattr(speed, "_ask", failing)
    monkeypatch.setattr(speed, "LISTENED", 0.01)
    *_, result = measure_field(tiny_rows(), OPTIONS)
    assert {row["skipped"] for row in result["rows"]} == {"no such network"}
    assert "left out: no such network" in field_text(result)
    memory = SimpleNamespace(available=10 * 2**20, total=2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    *_, result = measure_field(tiny_rows(), OPTIONS)
    assert all("10 MiB are free" in row["skipped"] for row in result["rows"])
    assert len(field_cells(result)) == 3


def test_seconds_have_three_digits_at_most():
    assert [seconds_text(s) for s in (0.9512, 9.87, 12.3, 1234.5)] == [
        "0.95",
        "9.87",
        "12",
        "1234",
    ]

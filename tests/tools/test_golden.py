"""The golden outputs tell what moved, and fail where a promise is broken."""

import runpy
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).resolve().parents[2] / "tools" / "golden.py"
VOXELS = np.random.default_rng(0).normal(size=(2, 4, 8, 8)).astype(np.float32)
REPORT = {"model": {"id": "m"}, "tiles": 1, "seconds": "…"}


@pytest.fixture
def golden(monkeypatch, tmp_path):
    """Return what was recorded, and compare it with something else."""
    monkeypatch.setattr("os.environ", {})  # it sets threads and the terminal
    names = runpy.run_path(str(FILE))
    place = names["compare"].__globals__
    monkeypatch.setitem(place, "make_inputs", lambda folder, data: None)

    def state(voxels=VOXELS, report=REPORT, about="ZYX", text="help", function="(x)"):
        row = ("case.python", 1e-6, voxels, about, report)
        monkeypatch.setitem(place, "outputs", lambda folder: [row])
        monkeypatch.setitem(place, "help_texts", lambda: {"sparsessp": text})
        monkeypatch.setitem(place, "public_names", lambda: {"predict": function})

    def compare(**changes):
        state(**changes)
        return names["compare"](tmp_path)

    state()
    names["record"](tmp_path, None)
    return compare


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "1 of 1 predictions are equal to the last bit"),
        ({"voxels": VOXELS + np.float32(3e-7)}, "case.python: differs by up to"),
        ({"text": "another help"}, "-help\n+another help"),
        ({"function": "(y)"}, "-(x)\n+(y)"),
    ],
)
def test_what_is_no_promise_is_told_and_passes(golden, capsys, changes, said):
    assert golden(**changes) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"voxels": VOXELS * 1.001}, "σ is more than 1e-06"),
        ({"voxels": VOXELS[:1]}, "shape (2, 4, 8, 8) became (1, 4, 8, 8)"),
        ({"voxels": np.where(VOXELS > 2, np.nan, VOXELS)}, "inf σ"),
        ({"report": {"model": {}, "tiles": 1}}, "the report lost .model.id"),
        ({"about": "YX"}, "ZYX became YX"),
    ],
)
def test_a_broken_promise_fails(golden, capsys, changes, said):
    assert golden(**changes) == 1
    assert said in capsys.readouterr().out

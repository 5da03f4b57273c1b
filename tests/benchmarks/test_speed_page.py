"""docs/generated/speed.md says what was measured, and marks what was measured badly."""

import copy
import json

import pytest

from benchmarks.pages import filled
from benchmarks.speed import page as speed
from benchmarks.speed.peak_share import measure_layers, measure_peaks, parts
from napari_sparsessp.evaluation import speed_worker
from napari_sparsessp.models.library import read_card
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.networks.cost import count_cost

RESULT = {
    "busy": 0.0,
    "machine": {"cpu": "abacus", "cores": 2},
    "options": {"shape": [65, 232, 344], "threads": 2, "device": "cpu"},
    "peaks": {
        "gmac_fp32": 200.0,
        "gmac_bf16": 500.0,
        "gemm_fp32": 100.0,
        "gemm_bf16": 450.0,
        "copy_gb": 30.0,
        "triad_gb": 28.0,
    },
    "rows": [
        {
            "name": "ours",
            "kind": "engine",
            "precision": "bf16",
            "model": "default",
            "seconds": 1.0,
            "seconds_first": 2.0,
            "seconds_load": 0.1,
            "first_tile": 0.3,
            "repeats": 5,
            "pieces": 3,
            "peak_mib": 800.0,
            "ratio": 1.0,
        },
        {
            "name": "SparseSSP, released 3-to-2D",
            "kind": "windows",
            "precision": "fp32",
            "seconds": 1100.0,
            "seconds_mixed_once": 900.0,
            "measured": 3,
            "pieces": 720,
            "peak_mib": 1000.0,
            "ratio": 1100.0,
            "ratio_mixed_once": 900.0,
        },
        {
            "name": "RepMode 3D",
            "kind": "windows",
            "precision": "fp32",
            "skipped": "needs more memory",
        },
    ],
    "layers": {
        "tile": [32, 232, 344],
        "precision": "bf16",
        "seconds": 0.25,
        "layers": [
            {"name": "decoder.0.conv1", "gmac": 30.0, "seconds": 0.1, "mbytes": 300.0},
            {"name": "decoder.0.conv2", "gmac": 30.0, "seconds": 0.1, "mbytes": 300.0},
        ],
    },
}


def test_the_page_is_up_to_date():
    """Otherwise: python -m benchmarks.speed.page."""
    page = speed.PAGE.read_text(encoding="utf-8")
    found = list(speed.sections())
    assert [name for name, _ in found] == ["field", "peaks", "trials"]
    assert page.count("<!-- /") == 3
    for name, text in found:
        assert filled(page, name, text) == page


def test_what_is_shown_was_measured_on_a_quiet_machine():
    """A page with provisional figures is for a developer's eyes only."""
    for path in (speed.FIELD, speed.TRIALS):
        if path.exists():
            assert json.loads(path.read_text("utf-8"))["busy"] <= 0.5


def test_shares_and_ratios_are_those_of_the_result():
    text = speed.field(RESULT)
    assert "scaled from 3 of 720 windows" in text
    assert "- 800 times faster than SparseSSP, released 3-to-2D: 1100 (900" in text
    assert "- 50 % of the measured peak in the convolutions: 60 %" in text
    assert "left out: needs more memory" in text
    shares = speed.peaks(RESULT)
    assert "| all convolutions | 60.00 | 200.0 | 300 | 60 % | 3.0 | 10 % |" in shares
    assert "| the network | 60.00 | 250.0 | 240 | 48 % |" in shares
    assert "the network is 0.75 s of 1.00 s" in shares


def test_figures_of_a_busy_machine_are_marked():
    busy = copy.deepcopy(RESULT) | {"busy": 3.2}
    assert "PROVISIONAL: others kept 3.2 cores busy" in speed.field(busy)
    assert "PROVISIONAL" not in speed.field(RESULT)
    trials = {"busy": 3.2, "bf16": {"a thing": [2.0, 1.0]}, "fp32": {}}
    text = speed.trials(trials)
    assert "PROVISIONAL" in text
    assert "| a thing | 2.0 → 1.0 |  |" in text


def test_convolutions_are_all_timed_and_counted(monkeypatch):
    """As much work as torch itself counts; no share is made up."""
    monkeypatch.setattr(speed_worker, "SETTLED", 0.0)
    peaks = measure_peaks("cpu", scale=16)
    assert all(value > 0 for value in peaks.values())
    options = {"model": "default", "shape": (16, 16, 20), "device": "cpu"}
    layers = measure_layers(options)
    config = NetworkConfig.model_validate(read_card().network)
    counted = count_cost(config, None, tuple(layers["tile"][1:])).gmac
    *_, every = parts({"peaks": peaks, "layers": layers})
    assert every["gmac"] == pytest.approx(counted)
    rate = every["gmac"] / every["seconds"]
    name = "gmac_fp32" if layers["precision"] == "fp32" else "gmac_bf16"
    assert every["of_peak"] == pytest.approx(rate / peaks[name])

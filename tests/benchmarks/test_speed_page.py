"""docs/generated/speed.md says what was measured, and marks what was measured badly."""

import json

import pytest

from benchmarks.pages import filled
from benchmarks.speed import page as speed
from napari_sparsessp.models.library import read_card
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.networks.cost import count_cost

OURS = {
    "name": "ours", "kind": "engine", "precision": "bf16", "model": "default",
    "seconds": 1.0, "seconds_first": 2.0, "seconds_load": 0.1, "first_tile": 0.3,
    "repeats": 5, "pieces": 3, "peak_mib": 800.0, "ratio": 1.0,
}  # fmt: skip
THEIRS = {
    "name": "SparseSSP, released 3-to-2D", "kind": "windows", "precision": "fp32",
    "seconds": 1100.0, "seconds_mixed_once": 900.0, "measured": 3, "pieces": 720,
    "peak_mib": 1000.0, "ratio": 1100.0, "ratio_mixed_once": 900.0,
}  # fmt: skip
RESULT = {
    "busy": 0.0,
    "machine": {"cpu": "abacus", "cores": 2},
    "options": {"shape": [65, 232, 344], "threads": 2, "device": "cpu"},
    "peaks": {"fp32": 200.0, "bf16": 500.0},
    "rows": [
        OURS,
        THEIRS,
        {"name": "RepMode 3D", "precision": "fp32", "skipped": "needs more memory"},
    ],
    "network": {
        "tile": [32, 232, 344], "precision": "bf16", "seconds": 0.25, "gmac": 60.0,
    },
}  # fmt: skip


def test_the_page_is_up_to_date_and_was_measured_on_a_quiet_machine():
    """Otherwise: python -m benchmarks.speed.page."""
    page = speed.PAGE.read_text(encoding="utf-8")
    found = list(speed.sections())
    assert page.count("<!-- /") == len(found)
    for name, text in found:
        assert filled(page, name, text) == page
    assert json.loads(speed.FIELD.read_text("utf-8"))["busy"] <= 0.5


def test_shares_and_ratios_are_those_of_the_result():
    text = speed.field(RESULT)
    assert "scaled from 3 of 720 windows" in text
    assert "- 800 times faster than SparseSSP, released 3-to-2D: 1100 (900" in text
    assert "- 50 % of the measured peak: 48 %" in text
    assert "left out: needs more memory" in text
    shares = speed.peaks(RESULT)
    assert "200 GMAC/s in fp32 and 500 GMAC/s in bf16" in shares
    assert "the network is 0.75 s of 1.00 s and reaches 48 % of the peak" in shares


def test_figures_of_a_busy_machine_are_marked():
    assert "PROVISIONAL: others kept 3.2" in speed.field(RESULT | {"busy": 3.2})
    assert "PROVISIONAL" not in speed.field(RESULT)


def test_our_network_is_timed_and_counted_on_the_engines_tile():
    options = {"model": "default", "shape": (16, 16, 20), "device": "cpu"}
    found = speed.measure_network(options)
    config = NetworkConfig.model_validate(read_card().network)
    assert found["tile"] == [config.planes, 16, 24]
    assert found["gmac"] == pytest.approx(count_cost(config, None, (16, 24)).gmac)
    assert speed.measure_peak("fp32", "cpu", scale=16) > 0


def test_no_peak_is_measured_in_a_precision_that_is_emulated(monkeypatch, tmp_path):
    """bf16 without instructions for it takes for ever."""
    monkeypatch.setattr(speed, "FIELD", tmp_path / "field.json")
    speed.FIELD.write_text(json.dumps({"options": {"threads": 1, "device": "cpu"}}))
    monkeypatch.setattr(speed.subprocess, "run", lambda command, check: None)
    about = {"precision": "fp32"}
    monkeypatch.setattr(speed, "measure_network", lambda options: about)
    monkeypatch.setattr(speed, "measure_peak", lambda name, device: 1.0)
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    speed.measure()
    assert json.loads(speed.FIELD.read_text())["peaks"] == {"fp32": 1.0}

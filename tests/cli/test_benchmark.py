"""`sparsessp benchmark`: what it prints, writes, keeps and refuses."""

import json

import numpy as np
import pytest

from images import a_stack, write_stack
from napari_sparsessp.evaluation import quality as measuring
from napari_sparsessp.evaluation import speed


def test_speed_measures_the_rows_that_are_named(sparsessp, tmp_path):
    path = tmp_path / "speed.json"
    code, out, err = sparsessp(
        "benchmark", "speed", "--quick", "--rows", "dod 2d none", "--json", path,
        "--threads", 1, "--precision", "bf16", "--quiet",
    )  # fmt: skip
    assert code == 0, err
    assert err == ""
    assert out.splitlines()[0].split()[:2] == ["combination", "parameters"]
    assert "dod 2d none dodnet" in out
    result = json.loads(path.read_text())
    assert result["finished"]
    assert result["options"]["size"] == [32, 64, 64]
    assert result["options"]["threads"] == 1
    assert result["options"]["precision"] == "bf16"
    (row,) = result["rows"]
    assert row["seconds_one"] > 0
    assert row["seconds_all"] > 0


def test_unknown_rows_are_refused(refused):
    assert "no row of the benchmark" in refused("benchmark", "speed", "--rows", "x")


def test_a_result_is_not_overwritten_unasked(refused, tmp_path):
    path = tmp_path / "speed.json"
    path.write_text("{}")
    assert "exists already" in refused("benchmark", "speed", "--json", path)
    assert path.read_text() == "{}"


@pytest.mark.parametrize("field", [True, False])
def test_an_interrupt_keeps_what_was_measured(sparsessp, tmp_path, monkeypatch, field):
    """Table and JSON hold the rows so far."""
    begun = {
        "finished": False,
        "busy": 0.0,
        "machine": {"cpu": "abacus", "cores": 1},
        "options": {
            "size": [32, 64, 64], "ratio": 2, "threads": 1, "precision": "fp32",
            "repeats": 3, "patience": 20.0, "shape": [65, 232, 344], "device": "cpu",
        },
        "rows": [{"name": "first", "precision": "fp32", "skipped": "for the test"}],
    }  # fmt: skip

    def interrupted(rows, options, progress):
        yield begun
        raise KeyboardInterrupt

    kind = "measure_field" if field else "measure_speed"
    monkeypatch.setattr(speed, kind, interrupted)
    path = tmp_path / "speed.json"
    options = ["--field"] if field else ["--quiet"]
    code, out, err = sparsessp("benchmark", "speed", "--json", path, *options)
    assert code == 130
    assert "left out: for the test" in out
    assert "1 of" in err
    assert json.loads(path.read_text())["rows"][0]["name"] == "first"


@pytest.mark.parametrize("options", [("--field", "--quick"), ("--device", "cuda")])
def test_options_of_the_other_benchmark_are_refused(refused, options):
    assert "--field" in refused("benchmark", "speed", *options)


def test_without_a_command_the_help_is_shown(sparsessp):
    code, out, _ = sparsessp("benchmark")
    assert code == 0
    assert "speed" in out


TINY = ("--colonies", 2, "--shape", "8,32,32", "--ratios", "1,4", "--device", "cpu")


@pytest.fixture
def quality(sparsessp, small_model):
    """Score the small model on tiny colonies."""

    def run(*arguments):
        command = ("benchmark", "quality", "--model", small_model)
        return sparsessp(*command, *TINY, *arguments)

    return run


@pytest.fixture
def pair(tmp_path):
    """A real pair, as the command line takes it."""
    both = np.stack([a_stack(seed=1), a_stack(seed=2)])
    path = write_stack(tmp_path / "pair.ome.tif", both, "CZYX", channels=["BF", "DNA"])
    return f"{path}:BF:DNA:dna"


def test_models_stand_beside_yardsticks_and_ceiling(quality, tmp_path, pair):
    path = tmp_path / "quality.json"
    code, out, err = quality("--json", path, "--pair", pair, "--quiet")
    assert (code, err) == (0, "")
    assert "2 held-out simulated colonies" in out
    assert "1 real pair" in out
    for row in ("small, r = 1", "small, r = 4", "plane mean", "ceiling"):
        assert f"\n{row}  " in out
    assert "\nsmall, R² " in out
    report = json.loads(path.read_text())
    assert report["finished"]
    assert set(report["groups"]) == {"simulated", "real"}
    assert len(report["fields"]) == 3
    assert "r2_at_4" in report["cards"]["small"]["2 held-out simulated colonies"]


def test_an_interrupted_run_keeps_the_fields_done(quality, tmp_path, monkeypatch):
    path = tmp_path / "quality.json"
    whole = measuring.measure_quality

    def interrupted(*arguments):
        yield next(whole(*arguments))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(measuring, "measure_quality", interrupted)
        code, out, err = quality("--json", path)
    assert code == 130
    assert "1 held-out simulated colonies" in out
    assert "1 of 2 fields were scored" in err
    half = json.loads(path.read_text())
    assert not half["finished"]
    assert quality("--json", path)[0] == 2, "nothing is overwritten unasked"


def test_real_pairs_alone_will_do(quality, pair):
    code, out, _ = quality("--colonies", 0, "--pair", pair)
    assert code == 0
    assert "simulated" not in out


def test_a_model_given_twice_is_scored_once(quality, small_model):
    _, out, _ = quality("--model", small_model, "--colonies", 1)
    assert out.count("\nsmall, r = 1 ") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--colonies", 0), "nothing to score on"),
        (("--ratios", "16"), "leaves no plane of 8"),
        (("--base", "other"), "none of the models scored: small"),
        (("--pair", "a:b"), "FILE:SIGNAL:TARGET:STRUCTURE"),
    ],
)
def test_what_cannot_be_done_is_one_line(refused, small_model, arguments, said):
    command = ("benchmark", "quality", "--model", small_model, *TINY)
    assert said in refused(*command, *arguments)

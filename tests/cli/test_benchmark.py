import json

import pytest

from napari_sparsessp.evaluation import speed
from napari_sparsessp.networks import NetworkConfig


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


@pytest.mark.parametrize("quiet", [True, False])
def test_an_interrupt_keeps_what_was_measured(sparsessp, tmp_path, monkeypatch, quiet):
    """Table and JSON hold the rows so far."""
    entry = {
        "name": "first",
        "network": NetworkConfig().model_dump(mode="json"),
        "parameters": 10**6,
        "skipped": "for the test",
    }
    begun = {
        "finished": False,
        "machine": {"cpu": "one", "cores": 1},
        "options": {
            "size": [32, 64, 64], "ratio": 2, "threads": 1, "precision": "fp32",
            "repeats": 3, "patience": 20.0,
        },
        "rows": [entry],
    }  # fmt: skip

    def interrupted(rows, options, progress):
        yield begun
        raise KeyboardInterrupt

    monkeypatch.setattr(speed, "measure_speed", interrupted)
    path = tmp_path / "speed.json"
    options = ["--quiet"] if quiet else []
    code, out, err = sparsessp("benchmark", "speed", "--json", path, *options)
    assert code == 130
    assert "first" in out
    assert "1 of" in err
    assert json.loads(path.read_text())["rows"][0]["name"] == "first"


FIELD = ("benchmark", "speed", "--field", "--threads", 1)


def test_the_field_of_view_goes_on_after_an_interrupt(sparsessp, tmp_path, monkeypatch):
    """The first run is stopped, the second gets what the first has written."""
    begun = {
        "kind": "field",
        "finished": False,
        "busy": 0.0,
        "machine": {"cpu": "one", "cores": 1},
        "options": {"shape": [65, 232, 344], "threads": 1, "device": "cpu"},
        "peaks": dict.fromkeys(
            ("gmac_fp32", "gmac_bf16", "gemm_fp32", "gemm_bf16", "copy_gb", "triad_gb"),
            1.0,
        ),
        "rows": [{"name": "ours", "precision": "auto", "skipped": "for the test"}],
    }
    seen = []

    def measured(rows, options, tell, earlier):
        seen.append((options.threads, earlier))
        yield begun
        if earlier is None:
            raise KeyboardInterrupt
        yield begun | {"finished": True}

    monkeypatch.setattr(speed, "measure_field", measured)
    path = tmp_path / "field.json"
    code, out, err = sparsessp(*FIELD, "--json", path)
    assert code == 130
    assert "left out: for the test" in out
    assert "--resume goes on" in err
    code, out, err = sparsessp(*FIELD, "--json", path, "--resume")
    assert code == 0, err
    assert seen == [(1, None), (1, begun)]
    assert json.loads(path.read_text())["finished"]


def test_what_is_not_of_the_field_of_view_is_not_gone_on_with(refused, tmp_path):
    path = tmp_path / "field.json"
    assert "--json" in refused(*FIELD, "--resume")
    for text in ("{}", "[]", "no JSON"):
        path.write_text(text)
        said = refused(*FIELD, "--resume", "--json", path)
        assert "is not of this benchmark" in said
    assert "exists already" in refused(*FIELD, "--json", path)
    assert path.read_text() == "no JSON"


@pytest.mark.parametrize("options", [("--field", "--quick"), ("--resume",)])
def test_options_of_the_other_benchmark_are_refused(refused, options):
    assert "--field" in refused("benchmark", "speed", *options)


def test_without_a_command_the_help_is_shown(sparsessp):
    code, out, _ = sparsessp("benchmark")
    assert code == 0
    assert "speed" in out

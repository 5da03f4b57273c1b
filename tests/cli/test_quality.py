"""`sparsessp benchmark quality`: what it prints, writes, keeps and refuses."""

import json

import numpy as np
import pytest

from images import a_stack, write_stack
from napari_sparsessp.evaluation import quality as measuring

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


def test_an_interrupted_run_is_gone_on_with(quality, tmp_path, monkeypatch):
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
    assert "1 of 2 fields were scored; go on with --resume" in err
    half = json.loads(path.read_text())
    assert not half["finished"]
    assert quality("--json", path)[0] == 2, "nothing is overwritten unasked"
    assert quality("--json", path, "--resume")[0] == 0
    done = json.loads(path.read_text())
    assert done["finished"]
    assert done["fields"][0] == half["fields"][0]


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
        (("--resume",), "--resume needs the file"),
        (("--base", "other"), "none of the models scored: small"),
        (("--pair", "a:b"), "FILE:SIGNAL:TARGET:STRUCTURE"),
    ],
)
def test_what_cannot_be_done_is_one_line(refused, small_model, arguments, said):
    command = ("benchmark", "quality", "--model", small_model, *TINY)
    assert said in refused(*command, *arguments)


def test_only_its_own_file_is_gone_on_with(refused, small_model, tmp_path):
    path = tmp_path / "quality.json"
    path.write_text('{"kind": "sweep"}')
    command = ("benchmark", "quality", "--model", small_model, *TINY)
    assert "holds no scores" in refused(*command, "--json", path, "--resume")
    assert path.read_text() == '{"kind": "sweep"}'

"""Few decisions make a whole config, which can be written down and run elsewhere."""

import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.training.checkpoints import run_of, unfinished_runs
from napari_sparsessp.training.config import (
    FineTune,
    Pairs,
    Validation,
    config_text,
    make_config,
    read_config,
)
from napari_sparsessp.training.resolve import QuickOptions, quick_config, run_folder


def options(folder, **changes):
    fields = {
        "id": "mine",
        "pairs": Pairs(path=folder / "pairs.csv"),
        "validation": Validation(by="x", gap=8, share=0.25),
    }
    return QuickOptions(**{**fields, **changes})


def test_a_config_that_was_written_down_is_the_same_again(tmp_path):
    out = tmp_path / "mine"
    config = quick_config(
        options(
            out, name="My DNA", licence="CC0", minutes=5, ratios=(1, 4), patch=64,
            learning_rate=1e-4, loss="foreground", freeze_encoder=False,
        ),
        out,
    )  # fmt: skip
    file = tmp_path / "train.yaml"
    file.write_text(config_text(config, tmp_path), encoding="utf-8")
    assert read_config(file) == config
    assert str(tmp_path) not in file.read_text(encoding="utf-8")


def test_every_kind_of_config_can_be_written_down(tmp_path):
    config = make_config(
        {
            "out": "run",
            "model": {"id": "both", "structures": ["dna"], "weights": "float16"},
            "network": {"backbone": "plain", "topology": "3d"},
            "data": {"simulated": {"fresh": True, "slots": 4}, "pairs": "pairs.csv"},
            "recipe": {"name": "paper", "batch": 2},
            "budget": {"steps": 10},
        },
        tmp_path,
    )
    file = tmp_path / "all.yaml"
    file.write_text(config_text(config), encoding="utf-8")
    assert read_config(file) == config


def test_the_defaults_are_for_one_small_pair_on_a_cpu(tmp_path):
    config = quick_config(options(tmp_path), tmp_path)
    assert isinstance(config.network, FineTune)
    assert config.network.source == "colony-3to2d"
    assert config.budget.minutes == 10
    # What is learnt by heart is best after a minute or two.
    assert config.budget.save_minutes <= 0.5


def test_a_value_that_cannot_be_meant_is_named(tmp_path):
    with pytest.raises(InputError, match="id cannot be used"):
        quick_config(options(tmp_path, id="No Id!"), tmp_path)
    with pytest.raises(InputError, match=r"recipe|learning_rate"):
        quick_config(options(tmp_path, learning_rate=-1.0), tmp_path)


def begun(id_, log, done=False):
    """Leave what a training leaves that was stopped."""
    out = run_folder(id_)
    out.mkdir(parents=True)
    config = quick_config(options(out, id=id_), out)
    (out / "train.yaml").write_text(config_text(config, out), encoding="utf-8")
    (out / "state.pt").write_bytes(b"")
    (out / "log.jsonl").write_text(log, encoding="utf-8")
    if done:
        (out / f"{id_}.safetensors").write_bytes(b"")
    return out


def test_a_training_that_was_stopped_is_found_with_its_progress():
    assert unfinished_runs(run_folder("x").parent) == []
    out = begun(
        "halfway",
        '{"step": 0, "spent": 0, "r2": 0.1}\n'
        '{"step": 9, "spent": 300.0, "r2": 0.3}\n{"step": 12, "spe',
    )
    begun("done", "", done=True)
    (found,) = unfinished_runs(out.parent)
    assert found.folder == out
    assert found.share == pytest.approx(0.5)
    assert found.best == 0.3
    assert run_of(found.config) == found


def test_a_folder_without_a_state_is_no_training(tmp_path):
    assert unfinished_runs(tmp_path / "none") == []
    out = begun("damaged", "")
    (out / "train.yaml").write_text("out: [", encoding="utf-8")
    assert unfinished_runs(out.parent) == []

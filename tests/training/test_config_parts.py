"""Keys of a training's config that choose data, weights and words of the card."""

import json

import numpy as np
import pytest
import tifffile
import yaml

from napari_sparsessp.cli.main import app_main
from napari_sparsessp.models.library import load_model
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.simulation.pool import fill_pool
from thin import save_random

NETWORK = {
    "depth": 8,
    "encoder_widths": [4, 8],
    "encoder_blocks": [1, 1],
    "decoder_widths": [8, 8, 12],
    "folded_width": 8,
}


def write_pair(folder, rows=slice(0, 0)):
    """A stack with its target; `rows` of both hold something else."""
    folder.mkdir(exist_ok=True)
    image = np.random.default_rng(0).normal(10, 1, (2, 8, 48, 32)).astype("f4")
    image[:, :, rows] = 1000
    size = {f"PhysicalSize{axis}": 0.29 for axis in "ZYX"}
    names = {"axes": "CZYX", "Channel": {"Name": ["light", "dna"]}, **size}
    tifffile.imwrite(folder / "a.ome.tif", image, metadata=names)
    head = "path,signal,path_target,target,structure\n"
    (folder / "pairs.csv").write_text(head + "a.ome.tif,light,a.ome.tif,dna,dna\n")
    return str(folder / "pairs.csv")


def config_of(folder, pairs, **changes):
    """The smallest training."""
    return {
        "out": str(folder),
        "model": {"id": "m"},
        "network": NETWORK,
        "data": {"pairs": pairs},
        "recipe": {"patch": [16, 16], "batch": 1, "precision": "fp32"},
        "budget": {"steps": 2},
        "validation": {"share": 0},
        "device": "cpu",
        **changes,
    }


def command(*words):
    with pytest.raises(SystemExit) as end:
        app_main([str(word) for word in words])
    assert not end.value.code


def trained(config, tmp_path):
    """Run the command and load what it wrote."""
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    command("train", tmp_path / "train.yaml", "--quiet")
    return load_model(f"{config['out']}/m.safetensors")


def weights(model):
    """All weights in one row."""
    return np.concatenate(
        [p.detach().numpy().ravel() for p in model.network.parameters()]
    )


def test_the_last_line_says_how_to_use_the_model_and_it_does(tmp_path, capsys):
    config = config_of(tmp_path / "run", write_pair(tmp_path))
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    command("train", tmp_path / "train.yaml")
    path = tmp_path / "run" / "m.safetensors"
    assert str(path) in capsys.readouterr().err.splitlines()[-1]
    command("models", "import", path)
    command("models", "list")
    assert "  m  " in capsys.readouterr().out
    # And a prediction of the very stack says that it was learned from.
    stack, out = tmp_path / "a.ome.tif", tmp_path / "p.ome.tif"
    command("predict", stack, "--channel", "light", "--model", "m", "--out", out)
    assert "used to train the model" in capsys.readouterr().err
    command("evaluate", out, stack)
    assert "used to train the model" in capsys.readouterr().err
    truth = ("--channel", "light", "--truth", f"dna={stack}:dna", "--ratios", "1")
    command("sweep", stack, "--model", "m", *truth)
    assert "used to train the model" in capsys.readouterr().err


def test_what_is_outside_of_the_crop_has_no_part_in_learning(tmp_path):
    found = []
    for name, rows in (("one", slice(0, 0)), ("other", slice(32, 48))):
        path = write_pair(tmp_path / name, rows)
        pairs = {"path": path, "crop": {"y": [0, 32]}}
        found.append(trained(config_of(tmp_path / name / "run", pairs), tmp_path))
    np.testing.assert_array_equal(*map(weights, found))
    assert "8×32×32" in " ".join(found[0].card.limits)


def test_real_patches_are_drawn_as_often_as_asked(tmp_path, monkeypatch):
    from napari_sparsessp.training import run

    list(fill_pool(tmp_path / "pool", range(6), 1, shape=(8, 32, 32)))
    data = {"simulated": {"pool": str(tmp_path / "pool")}}
    data["pairs"] = {"path": write_pair(tmp_path), "share": 0.75}
    seen = []
    whole = run.train

    def counted(network, pairs, *rest):
        seen.extend(pair.name for pair in pairs)
        return whole(network, pairs, *rest)

    monkeypatch.setattr(run, "train", counted)
    config = config_of(tmp_path / "run", None, data=data)
    trained({**config, "model": {"id": "m", "structures": ["dna"]}}, tmp_path)
    assert seen.count("a.ome.tif") / len(seen) == pytest.approx(0.75)


def test_a_blend_lies_between_the_old_weights_and_the_new(tmp_path):
    network = NetworkConfig.model_validate({**NETWORK, "outputs": 1})
    old = save_random(tmp_path / "old.safetensors", network)
    found = {}
    for blend in (1.0, 0.25):
        config = config_of(tmp_path / f"run-{blend}", write_pair(tmp_path))
        config["network"] = {"from": str(old), "blend": blend}
        found[blend] = trained(config, tmp_path)
    start, new = weights(load_model(old)), weights(found[1.0])
    assert np.abs(new - start).max() > 1e-5
    np.testing.assert_allclose(
        weights(found[0.25]), start + 0.25 * (new - start), atol=1e-6
    )
    assert "25% of the way" in found[0.25].card.trained_on


def test_words_and_scores_of_the_card_can_be_given_later(tmp_path):
    """The same command again, after the model was scored, writes them."""
    config = config_of(tmp_path / "run", write_pair(tmp_path))
    before = trained(config, tmp_path)
    assert before.card.scores == {}
    scores = {"cards": {"m": {"split": {"r2": 0.5}}}}
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    config["model"] |= {"trained_on": "One stack.", "scores": "scores.json"}
    after = trained(config, tmp_path)
    assert after.card.trained_on == "One stack."
    assert after.card.scores["split"] == {"r2": 0.5}
    np.testing.assert_array_equal(weights(after), weights(before))

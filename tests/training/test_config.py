"""A config is checked at once, and what is wrong with it is one line."""

import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.training.config import make_config, read_config

LEAST = {
    "out": "run",
    "model": {"id": "mine"},
    "data": {"pairs": "pairs.csv"},
    "budget": {"steps": 10},
}


def with_(**changes):
    """The least config with some sections replaced."""
    return {**LEAST, **changes}


def test_paths_begin_at_the_file(tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text("out: run\nmodel: {id: mine}\ndata: {pairs: pairs.csv}\n"
                    "budget: {steps: 10}\n")  # fmt: skip
    config = read_config(file)
    assert config.out == tmp_path / "run"
    assert config.data.pairs.path == tmp_path / "pairs.csv"
    assert (config.recipe.name, config.recipe.optimiser) == ("fast", "adamw")
    assert isinstance(config.network, NetworkConfig)


def test_every_value_of_a_recipe_can_be_changed():
    changed = {"name": "paper", "batch": 3, "tilt": 0.2}
    recipe = make_config(with_(recipe=changed)).recipe
    assert (recipe.batch, recipe.tilt, recipe.optimiser) == (3, 0.2, "adam")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"los": "mse"}, ["no field los", "loss"]),
        ({"loss": "l3"}, ["loss 'l3'", "'l1'", "'mse'"]),
        ({"recipe": "quick"}, ["recipe", "'quick'", "'fast' or 'paper'"]),
        ({"recipe": {"bach": 3}}, ["recipe has no field bach", "batch"]),
        ({"recipe": {"batch": 0}}, ["recipe.batch 0", "greater than or equal to 1"]),
        ({"budget": {}}, ["budget", "either steps or minutes"]),
        ({"budget": {"steps": "many"}}, ["budget.steps 'many'", "integer"]),
        ({"data": {}}, ["data", "simulated, or pairs"]),
        ({"data": {"simulated": {"colonis": 2}}}, ["data.simulated", "colonies"]),
        ({"data": {"simulated": {"fresh": True, "colonies": 2}}}, ["fresh: true"]),
        ({"data": {"simulated": {"colonies": 2, "slots": 3}}}, ["slots is for fresh"]),
        ({"data": {"simulated": {"fresh": True, "every": 0}}}, ["every 0"]),
        ({"data": {"simulated": {"pool": "a", "shape": [9, 40, 40]}}}, ["leave shape"]),
        ({"data": {"pairs": {"path": "p", "share": 0.5}}}, ["share needs a pool"]),
        ({"data": {"pairs": {"path": "p", "crop": {"x": [9, 9]}}}}, ["smaller pixel"]),
        ({"data": {"pairs": {"path": "p", "crop": {"t": [0, 9]}}}}, ["'y' or 'x'"]),
        ({"network": {"backbone": "unet"}}, ["network.backbone 'unet'", "'slim'"]),
        ({"network": {"wide": 3}}, ["network has no field wide", "backbone"]),
        ({"network": {"from": "x", "freeze": 1}}, ["network has no field freeze"]),
        ({"model": {"id": "My Model"}}, ["model.id 'My Model'"]),
        ({"ratios": [0, 2]}, ["ratios.0 0", "greater than or equal to 1"]),
        ({"validation": {"share": 1}}, ["validation.share 1", "less than 1"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_names_the_field(changes, words):
    with pytest.raises(InputError) as caught:
        make_config(with_(**changes))
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def test_what_is_missing_is_named():
    with pytest.raises(InputError, match="lacks budget"):
        make_config({k: v for k, v in LEAST.items() if k != "budget"})


@pytest.mark.parametrize("text", ["a: [", "- 1\n", "", "out: !!python/name:os.x\n"])
def test_what_is_no_config_is_refused(tmp_path, text):
    file = tmp_path / "train.yaml"
    file.write_text(text)
    with pytest.raises(InputError):
        read_config(file)
    with pytest.raises(InputError, match="cannot read"):
        read_config(tmp_path / "no.yaml")

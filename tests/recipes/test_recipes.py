"""The recipes behind the shipped models: configs that `sparsessp train` can run."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sparsessp.errors import ModelError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.metrics import score
from napari_sparsessp.models.library import find_model, load_model
from napari_sparsessp.models.verification import verify_model
from napari_sparsessp.networks import build_network
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.memory import LARGEST_HALO
from napari_sparsessp.simulation.pool import fill_pool
from napari_sparsessp.training.config import make_config
from napari_sparsessp.training.resolve import resolve_config

FILE = Path(__file__).resolve().parents[2] / "recipes" / "run.py"
STEPS = {
    "colony": {"colony-3to2d", "colony-2d", "colony-3d", "colony-2to3d"},
    "hipsc-dna": {"split", "all"},
    "neurons-isl": {"rough", "fine", "all"},
    "ten-minutes": {"first", "mirrored"},
}
PLAIN = {"standardised": False}
CUBE = {f"PhysicalSize{axis}": 0.29 for axis in "ZYX"}


@pytest.fixture(scope="module")
def run():
    """The runner as a module."""
    spec = importlib.util.spec_from_file_location("run", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recipe(run, tmp_path):
    """Read a recipe with folders in it."""
    return lambda name: run.read_recipe(
        name, pool=tmp_path, data=tmp_path, run=tmp_path
    )


@pytest.fixture
def command(run, monkeypatch):
    """Run a command line of the runner."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["run.py", *map(str, words)])
        try:
            run.main()
        except SystemExit as end:
            if end.code:
                raise

    return call


def test_every_step_is_a_config_and_colonies_have_the_networks_that_ship(run, recipe):
    assert {name: set(recipe(name)["steps"]) for name in run.RECIPES} == STEPS
    for name, steps in STEPS.items():
        for step in steps:
            config = make_config(run.config_of(recipe(name), step))
            assert config.model.id in (name, step, "ten-minutes")
            if name == "colony":
                shipped = load_model(step).network.config
                # Gains are folded into the weights before a model is written.
                both = (config.network, shipped)
                mine, its = (one.model_copy(update=PLAIN) for one in both)
                assert mine == its


def test_the_model_for_neurons_is_small_leaves_no_seams_and_says_its_limits(
    run, recipe
):
    """At most 3 million weights; no statistics of the image; a halo that holds all."""
    rough, whole = (
        make_config(run.config_of(recipe("neurons-isl"), step))
        for step in ("rough", "all")
    )
    resolved = resolve_config(rough)
    config = resolved.network(("dapi", "map2", "nfh"))
    assert sum(one.numel() for one in build_network(config).parameters()) < 3e6
    assert not config.sees_whole
    assert config.reach <= LARGEST_HALO
    assert (resolved.ratios(config), config.depth) == ((1,), 13)
    words = " ".join(whole.model.limits).lower()
    for what in ("one well", "one plane", "guess", "brightest", "tens of nuclei"):
        assert what in words
    assert whole.model.licence == "CC BY 4.0"
    assert "Christiansen" in whole.model.citation
    hipsc = make_config(run.config_of(recipe("hipsc-dna"), "all")).model
    assert "non-commercial" in hipsc.licence


def test_a_crop_is_learned_from_scored_and_put_on_the_card(command, tmp_path):
    """hipsc-dna in one step each, on an invented crop and two small colonies."""
    image = np.random.default_rng(0).normal(10, 1, (2, 32, 64, 32)).astype("f4")
    names = {"axes": "CZYX", "Channel": {"Name": ["Bright-field", "DNA"]}, **CUBE}
    file = tmp_path / "allen_hipsc_dna_top.ome.tif"
    tifffile.imwrite(file, image, metadata=names)
    list(fill_pool(tmp_path / "pool", range(2), 1, shape=(40, 64, 64)))
    where = ("--data", tmp_path, "--pool", tmp_path / "pool", "--run", tmp_path)
    few = ("--set", "budget.steps=1", "recipe.patch=[32,32]")
    command("train", "hipsc-dna", "split", *where, *few)
    command("score", "hipsc-dna", "split", *where)
    command("train", "hipsc-dna", "all", *where, *few)
    path = tmp_path / "all" / "hipsc-dna.safetensors"
    card = load_model(path).card
    assert card.structures == ("dna",)
    scores = json.loads((tmp_path / "split.json").read_text("utf-8"))
    assert set(scores) == {"on", "split", "before"}
    assert set(scores["split"]) == {f"dna, r = {ratio}" for ratio in (1, 2, 4, 8)}
    assert card.scores["split"] == scores["split"]
    assert "2 simulated hiPSC colonies" in card.trained_on
    assert any("commercial" in one for one in card.limits)
    assert verify_model(path).ok


def test_a_folder_that_is_missing_is_asked_for(command, tmp_path):
    with pytest.raises(SystemExit, match="needs --pool"):
        command("train", "colony", "colony-2d", "--run", tmp_path)
    with pytest.raises(SystemExit, match="choose of split, all"):
        command("train", "hipsc-dna", "half", "--run", tmp_path)


def test_the_shipped_model_gives_one_plane_of_each_stain(shared_data):
    """Of a stack whose labels it has learned: that it runs, not how well it does."""
    try:
        path = find_model("neurons-isl")
    except ModelError:
        pytest.skip("neurons-isl is not in this checkout")
    model = load_model(path)
    assert path.stat().st_size < 4e6
    light = load_volume(shared_data("isl_neurons_phase_left.ome.tif"))
    stains = load_volume(shared_data("isl_neurons_labels_left.ome.tif"))
    corner = (..., slice(640, 832), slice(0, 192))  # nuclei and axons
    light = light.with_(array=np.asarray(light.array)[corner])
    result = predict(model, light)
    assert result.volume.shape == (3, 1, 192, 192)
    for name in ("dapi", "map2", "nfh"):
        truth = np.asarray(stains.channel(name.upper()).array)[corner]
        assert score(result[name].array, truth)["pcc"] > 0.4

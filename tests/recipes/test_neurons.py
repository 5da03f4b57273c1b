"""The script behind neurons-isl: its recipe is a network that can be built and cut."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sparsessp.errors import ModelError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.models.registry import find_model
from napari_sparsessp.models.store import load_model
from napari_sparsessp.networks import build_network
from napari_sparsessp.prediction.engine import predict
from napari_sparsessp.prediction.tile_size import LARGEST_HALO
from napari_sparsessp.training.config_file import make_config
from napari_sparsessp.training.setup import make_setup

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_neurons.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_neurons", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_network_is_small_and_leaves_no_seams(script, tmp_path):
    """At most 3 million weights; no statistics of the image; a halo that holds all."""
    values = script.config_of(tmp_path, tmp_path, 10, None)
    setup = make_setup(make_config(values))
    config = setup.network(script.STAINS)
    assert sum(one.numel() for one in build_network(config).parameters()) < 3e6
    assert not config.sees_whole
    assert config.reach <= LARGEST_HALO
    assert setup.ratios(config) == (1,)
    assert config.depth == 13


def test_only_the_wanted_columns_are_learned_from(script, tmp_path):
    rng = np.random.default_rng(0)
    phase = rng.integers(0, 9, (13, 20, 30), dtype=np.uint16)
    labels = rng.integers(0, 9, (3, 1, 20, 30), dtype=np.uint16)
    tifffile.imwrite(tmp_path / script.PHASE, phase, metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / script.LABELS, labels, metadata={"axes": "CZYX"})
    script.cut_columns(tmp_path, tmp_path / "cut", slice(0, 24))
    written = load_volume(tmp_path / "cut" / "phase.ome.tif")
    np.testing.assert_array_equal(written.array, phase[..., :24])
    stains = load_volume(tmp_path / "cut" / "labels.ome.tif")
    assert stains.channel_names == ("DAPI", "MAP2", "NFH")
    np.testing.assert_array_equal(stains.channel("NFH").array, labels[2][..., :24])


def test_trivial_predictors_are_one_plane_each(script):
    """Roughness is high where the stack is rough, whatever its brightness."""
    phase = np.full((13, 40, 60), 100.0)
    phase[:, :, 30:] += np.random.default_rng(1).normal(0, 20, (13, 40, 30))
    found = script.trivial(phase)
    assert all(one.shape == (1, 40, 60) for one in found.values())
    assert found["roughness"][0, :, 36:].mean() > 0.5
    assert found["roughness"][0, :, :20].mean() < -0.5
    np.testing.assert_allclose(found["negative"], -found["input"], atol=1e-4)
    np.testing.assert_allclose(
        found["input"], zscore_truth(phase.mean(0)[None]), atol=1e-3
    )


def test_the_card_says_what_may_not_be_expected(script):
    words = " ".join(script.MODEL["limits"])
    for what in ("one well", "One plane", "guess", "brightest", "tens of nuclei"):
        assert what.lower() in words.lower()
    assert script.MODEL["licence"] == "CC BY 4.0"
    assert "Christiansen" in script.MODEL["citation"]


def test_the_shipped_model_gives_one_plane_of_each_stain(script, shared_data):
    """Of a stack whose labels it has learned: that it runs, not how well it does."""
    try:
        path = find_model("neurons-isl")
    except ModelError:
        pytest.skip("neurons-isl is not in this checkout")
    model = load_model(path)
    assert model.card.structures == script.STAINS
    assert path.stat().st_size < 4e6
    phase, labels = shared_data(script.PHASE), shared_data(script.LABELS)
    light, stains = load_volume(phase), load_volume(labels)
    corner = (..., slice(640, 832), slice(0, 192))  # nuclei and axons
    light = light.with_(array=np.asarray(light.array)[corner])
    result = predict(model, light)
    assert result.volume.shape == (3, 1, 192, 192)
    for name in script.STAINS:
        truth = np.asarray(stains.channel(name.upper()).array)[corner]
        assert score(result[name].array, truth)["pcc"] > 0.4

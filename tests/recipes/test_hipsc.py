"""The script behind hipsc-dna: what it may see, and what its card says."""

import copy
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.models.store import load_model, save_model
from napari_sparsessp.models.verification import verify_model
from napari_sparsessp.networks.inputs import network_input
from napari_sparsessp.simulation.pool import PooledColony
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.training.setup import make_setup

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_hipsc.py"
REAL = (
    Path(__file__).resolve().parents[2] / "../shared/data/allen_hipsc_dna_top.ome.tif"
)
CUBE = {f"PhysicalSize{axis}": 0.29 for axis in "ZYX"}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_hipsc", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _crop(path: Path, change: slice | None = None) -> Path:
    """An invented crop; the rows of `change` hold something else."""
    image = np.random.default_rng(0).normal(10, 1, (2, 32, 64, 32)).astype("f4")
    if change is not None:
        image[:, :, change] = 1000
    names = {"axes": "CZYX", "Channel": {"Name": ["Bright-field", "DNA"]}, **CUBE}
    tifffile.imwrite(path, image, metadata=names)
    return path


def _colonies(count: int) -> list[PooledColony]:
    rng = np.random.default_rng(1)
    return [
        PooledColony(
            seed,
            rng.standard_normal((1, 36, 64, 40), np.float32),
            rng.standard_normal((len(CATALOGUE), 36, 64, 40), np.float32),
        )
        for seed in range(count)
    ]


def test_rows_that_are_scored_have_no_part_in_learning(script, tmp_path):
    one = script.real_pair(_crop(tmp_path / "a.ome.tif"), slice(0, 32))
    changed = _crop(tmp_path / "b.ome.tif", slice(32, 64))
    other = script.real_pair(changed, slice(0, 32))
    assert one.looks.shape == (1, 32, 32, 32)
    np.testing.assert_array_equal(one.looks, other.looks)
    np.testing.assert_array_equal(one.targets[0], other.targets[0])


def test_hidden_columns_count_neither_in_the_loss_nor_in_the_scale(script, tmp_path):
    pair = script.real_pair(_crop(tmp_path / "a.ome.tif"), slice(0, 32), slice(16, 32))
    counts = pair.masks[0]
    assert not counts[..., 16:32].any()
    assert counts[..., :16].all()
    assert pair.targets[0][counts].mean() == pytest.approx(0, abs=1e-4)
    assert pair.targets[0][counts].std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_real_patches_are_drawn_as_often_as_asked(script, tmp_path, share):
    pair = script.real_pair(_crop(tmp_path / "a.ome.tif"), slice(0, 32))
    pairs = script.mixed(pair, _colonies(12), share)
    assert np.mean([one is pair for one in pairs]) == pytest.approx(share, abs=0.03)
    row = list(CATALOGUE).index("dna")
    np.testing.assert_array_equal(
        pairs[0].targets[0], _colonies(1)[0].fluorescence[row]
    )


def test_its_config_starts_from_the_model_and_keeps_dna_alone(script, tmp_path):
    config = script.config_of(
        "colony-3to2d", tmp_path, tmp_path / "run", script.Recipe()
    )
    setup = make_setup(config)
    assert setup.structures(("dna",)) == ("dna",)
    assert setup.network(("dna",)).outputs == 1
    assert setup.ratios(setup.network(("dna",))) == (1, 2, 4, 8)
    assert setup.voxel_size == (0.29, 0.29, 0.29)
    assert "non-commercial" in setup.config.model.licence


def test_the_model_it_writes_says_what_it_has_seen(script, tmp_path, monkeypatch):
    """One step on an invented crop: learnt, checked, licence and limits on the card."""
    monkeypatch.setattr(script, "open_pool", lambda folder: _colonies(2))
    out, scores = tmp_path / "m.safetensors", tmp_path / "split.json"
    scores.write_text('{"fine-tuned": {"r = 1": {"pcc_plane": 0.5}}}')
    crop = _crop(tmp_path / "a.ome.tif")
    made = ["all", "--pool", "p", "--steps", "1", "--data", str(crop)]
    made += ["--out", str(out), "--scores", str(scores)]
    monkeypatch.setattr("sys.argv", ["train_hipsc.py", *made])
    script.main()
    card = load_model(out).card
    assert card.id == "hipsc-dna"
    assert card.structures == ("dna",)
    assert "32×64×32" in card.trained_on
    assert "2 simulated colonies" in card.trained_on
    assert card.scores["split"]["fine-tuned"]["r = 1"]["pcc_plane"] == 0.5
    assert any("commercial" in one for one in card.limits)
    assert verify_model(out).ok


def test_a_blend_lies_between_the_old_weights_and_the_tuned(script, tmp_path):
    model = load_model("colony-3to2d")
    path = save_model(tmp_path / "m.safetensors", model.network, model.card)
    before = copy.deepcopy(model.network)
    for one in before.parameters():
        one.data.zero_()
    blended = load_model(script.blend(path, before, 0.25))
    for new, old in zip(
        blended.network.parameters(), model.network.parameters(), strict=True
    ):
        torch.testing.assert_close(new, 0.25 * old, rtol=1e-3, atol=1e-6)
    assert verify_model(path).ok


def test_scores_are_printed_a_row_a_line_and_stay_json(script):
    table = {"on": "µm", "tuned": {"r = 1": {"pcc": 0.5}, "r = 2": {"pcc": 0.4}}}
    text = script._text(table)
    assert json.loads(text) == table
    assert len(text.splitlines()) == 7


def test_scores_are_of_the_rows_alone_and_within_the_crop(
    script, tmp_path, monkeypatch
):
    model = load_model("colony-3to2d")
    monkeypatch.setattr(script, "RATIOS", (1, 8))
    table = script.scores_of(model, _crop(tmp_path / "a.ome.tif"), slice(32, 64))
    assert {"r = 1", "r = 8", "r = 1, within the crop", "noise_ceiling"} < set(table)
    assert {"plane_mean", "smoothness", "input", "negative"} < set(table)


@pytest.mark.skipif(not REAL.exists(), reason="the real crop is not here")
def test_the_real_crop_is_what_the_script_expects(script):
    pair = script.real_pair(REAL, slice(None))
    assert pair.looks.shape == (1, 32, 64, 128)
    assert load_volume(REAL, channel="DNA").voxel_size == pytest.approx((0.29,) * 3)
    source = network_input(torch.from_numpy(pair.looks[0]), torch.zeros(32))
    assert torch.isfinite(source).all()

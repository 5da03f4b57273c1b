import json

import numpy as np
import pytest
import tifffile
from sklearn.metrics import r2_score

from images import STEP, a_stack, write_stack
from napari_sparsessp.metrics import zscore_truth


@pytest.fixture
def pair(tmp_path):
    """A truth, and a prediction of it in units of the z-scored truth."""
    truth = a_stack()
    noise = np.random.default_rng(3).normal(0, 0.5, truth.shape)
    predicted = (zscore_truth(truth) + noise).astype(np.float32)
    return (
        write_stack(tmp_path / "prediction.ome.tif", predicted),
        write_stack(tmp_path / "truth.ome.tif", truth),
        r2_score(zscore_truth(truth).ravel(), predicted.ravel()),
    )


def test_r2_is_scikit_learns(sparsessp, pair, tmp_path):
    prediction, truth, expected = pair
    report = tmp_path / "report.json"
    code, out, err = sparsessp("evaluate", prediction, truth, "--report", report)
    assert code == 0
    assert f"{expected:.3f}" in out
    content = json.loads(report.read_text())
    (scores,) = content["structures"].values()
    assert scores["r2"] == pytest.approx(expected, abs=1e-6)
    assert content["warnings"] == []


def test_channels_are_paired_by_what_they_show(sparsessp, tmp_path):
    golgi, dna = a_stack(seed=1), a_stack(seed=2)
    predicted = np.stack([zscore_truth(dna), zscore_truth(golgi)])
    prediction = write_stack(
        *(tmp_path / "p.ome.tif", predicted, "CZYX"),
        channels=["dna", "golgi_apparatus"],
    )
    truth = write_stack(
        *(tmp_path / "t.ome.tif", np.stack([golgi, dna, dna]), "CZYX"),
        channels=["ST6GAL1", "Hoechst 33342", "brightfield"],
    )
    report = tmp_path / "r.json"
    code, out, _ = sparsessp("evaluate", prediction, truth, "--report", report)
    assert code == 0
    assert "mean of structures" in out
    scores = json.loads(report.read_text())["structures"]
    assert set(scores) == {"dna", "golgi_apparatus"}
    assert all(one["r2"] == pytest.approx(1, abs=1e-5) for one in scores.values())


def test_channels_can_be_chosen(sparsessp, pair, tmp_path):
    prediction, _, expected = pair
    two = np.stack([a_stack(seed=9), a_stack()])
    truth = write_stack(tmp_path / "two.ome.tif", two, "CZYX")
    code, out, _ = sparsessp("evaluate", prediction, truth, "--truth-channel", 1)
    assert code == 0
    assert f"{expected:.3f}" in out


def test_truth_on_another_grid_is_resampled_and_told(sparsessp, pair, tmp_path):
    prediction, _, _ = pair
    smooth = np.add.outer(np.add.outer(np.arange(8), np.arange(20)), np.arange(20))
    truth = write_stack(
        tmp_path / "coarse.ome.tif",
        smooth.astype(np.float32),
        voxel_size=(STEP, 2 * STEP, 2 * STEP),
    )
    report = tmp_path / "r.json"
    code, _, err = sparsessp("evaluate", prediction, truth, "--report", report)
    assert code == 0
    assert "resampled" in err
    assert "resampled" in json.loads(report.read_text())["warnings"][0]


def test_truth_of_another_field_is_refused(refused, pair, tmp_path):
    """Its edge would be repeated over what it does not show."""
    prediction, _, _ = pair
    part = write_stack(tmp_path / "part.ome.tif", a_stack(8, 20))
    assert "covers only 50%" in refused("evaluate", prediction, part)


def test_raw_counts_are_told_apart_from_a_bad_prediction(sparsessp, pair):
    _, truth, _ = pair
    code, _, err = sparsessp("evaluate", truth, truth)
    assert code == 0
    assert "not in units of its z-scored truth" in err


def test_bad_inputs_are_one_line(refused, pair, tmp_path):
    prediction, truth, _ = pair
    assert "/nope.tif" in refused("evaluate", "/nope.tif", truth)
    assert "/nope.tif" in refused("evaluate", prediction, "/nope.tif")
    flat = write_stack(tmp_path / "flat.ome.tif", np.full((8, 40, 40), 3, np.uint16))
    assert "constant" in refused("evaluate", prediction, flat)
    other = write_stack(tmp_path / "o.ome.tif", a_stack(3, 17), voxel_size=None)
    assert "3×17×17" in refused("evaluate", prediction, other)
    torn = tmp_path / "torn.tif"
    tifffile.imwrite(torn, a_stack(), compression="zlib")
    with tifffile.TiffFile(torn) as opened:
        (start, *_) = opened.pages[3].dataoffsets
    content = bytearray(torn.read_bytes())
    content[start : start + 50] = bytes(50)
    torn.write_bytes(content)
    assert "damaged" in refused("evaluate", prediction, torn)
    two = np.stack([a_stack(), a_stack()])
    names = ["red", "green"]
    two = write_stack(tmp_path / "two.ome.tif", two, "CZYX", channels=names)
    assert "red" in refused("evaluate", prediction, two)
    (tmp_path / "r.json").write_text("precious")
    report = ("--report", tmp_path / "r.json")
    assert "--overwrite" in refused("evaluate", prediction, truth, *report)
    assert (tmp_path / "r.json").read_text() == "precious"

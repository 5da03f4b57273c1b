"""`sparsessp simulate`: colonies on disk, and a list that training reads."""

import csv

import numpy as np
import pytest

from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.writing import read_provenance
from napari_sparsessp.structures import CATALOGUE

SMALL = ("--shape", "8,48,48")


def test_colonies_can_be_read_and_trained_on(sparsessp, tmp_path):
    """Bright-field and every structure, with names, size and a line each."""
    code, out, err = sparsessp(
        "simulate", "--out", tmp_path / "new", "--volumes", 2, *SMALL
    )
    assert code == 0, err
    assert out.strip() == str(tmp_path / "new" / "colonies.csv")
    volume = load_volume(tmp_path / "new" / "colony_000001.ome.tif")
    assert volume.shape == (13, 8, 48, 48)
    assert volume.voxel_size == pytest.approx((0.29, 0.29, 0.29))
    assert volume.channel_names == ("bright_field", *CATALOGUE)
    with (tmp_path / "new" / "colonies.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(CATALOGUE)
    from napari_sparsessp.training.pairs import read_labels

    labels = read_labels(tmp_path / "new" / "colonies.csv")
    assert {label.structure for label in labels} == set(CATALOGUE)


def test_the_same_seed_gives_the_same_colony_and_its_own_noise(sparsessp, tmp_path):
    for name, photons in (("a", 20000), ("b", 20000), ("clean", 0)):
        code, _, err = sparsessp(
            "simulate", "--out", tmp_path / name, "--seed", 7, *SMALL,
            "--photons", photons,
        )  # fmt: skip
        assert code == 0, err
    a, b, clean = (
        load_volume(tmp_path / name / "colony_000007.ome.tif").numpy()
        for name in ("a", "b", "clean")
    )
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a[1:], clean[1:])
    assert 0.001 < np.abs(a[0] - clean[0]).mean() < 0.05


def test_a_colony_that_is_there_is_kept(sparsessp, tmp_path):
    """Also when more are asked for; the list names all."""
    sparsessp("simulate", "--out", tmp_path, *SMALL)
    before = (tmp_path / "colony_000000.ome.tif").read_bytes()
    code, _, err = sparsessp("simulate", "--out", tmp_path, "--photons", 0, *SMALL)
    assert code == 0
    assert "kept" in err
    assert (tmp_path / "colony_000000.ome.tif").read_bytes() == before
    sparsessp("simulate", "--out", tmp_path, "--seed", 1, *SMALL)
    assert "colony_000000" in (tmp_path / "colonies.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("shape", "says"),
    [("4,48,48", "at least 8,32,32"), ("99999,9999,9999", "smaller"), ("1,2", "Z,Y,X")],
)
def test_an_impossible_shape_is_one_line(refused, tmp_path, shape, says):
    assert says in refused("simulate", "--out", tmp_path, "--shape", shape)


@pytest.mark.parametrize("contrast", ["phase-contrast", "dic"])
def test_the_same_colony_in_another_contrast(sparsessp, tmp_path, contrast):
    """Its channel and its provenance say which; the structures are the same."""
    sparsessp("simulate", "--out", tmp_path / "bright", *SMALL, "--photons", 0)
    code, out, err = sparsessp(
        "simulate", "--out", tmp_path / contrast, *SMALL, "--photons", 0,
        "--contrast", contrast,
    )  # fmt: skip
    assert code == 0, err
    name = "colony_000000.ome.tif"
    bright = load_volume(tmp_path / "bright" / name)
    other = load_volume(tmp_path / contrast / name)
    assert other.channel_names == (contrast.replace("-", "_"), *CATALOGUE)
    assert read_provenance(tmp_path / contrast / name)["contrast"] == contrast
    np.testing.assert_array_equal(bright.numpy()[1:], other.numpy()[1:])
    alike = np.corrcoef(bright.numpy()[0].ravel(), other.numpy()[0].ravel())[0, 1]
    assert abs(alike) < 0.9


def test_fluorescence_through_a_camera_is_asked_for(sparsessp, tmp_path):
    """Counts above the camera's offset; what bleached is written down."""
    for name, photons in (("expected", 0), ("counted", 200)):
        code, _, err = sparsessp(
            "simulate", "--out", tmp_path / name, *SMALL,
            "--fluorescence-photons", photons,
        )  # fmt: skip
        assert code == 0, err
    expected, counted = (
        load_volume(tmp_path / name / "colony_000000.ome.tif").numpy()
        for name in ("expected", "counted")
    )
    np.testing.assert_array_equal(expected[0], counted[0])
    labels = counted[1:]
    np.testing.assert_array_equal(labels, labels.round())
    assert 100 < labels.mean() < 300
    dna = 1 + list(CATALOGUE).index("dna")
    assert np.corrcoef(expected[dna].ravel(), counted[dna].ravel())[0, 1] > 0.8
    told = read_provenance(tmp_path / "counted" / "colony_000000.ome.tif")
    assert told["fluorescence_photons"] == 200
    assert len(told["bleached"]) == len(CATALOGUE)
    assert all(0.05 <= one <= 0.4 for one in told["bleached"])


def test_an_unknown_contrast_is_one_line(refused, tmp_path):
    assert "phase-contrast" in refused(
        "simulate", "--out", tmp_path, "--contrast", "dark-field"
    )

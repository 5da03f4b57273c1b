"""Pairs are read once, normalised, and lie on the model's pixels."""

import numpy as np
import pytest

from images import a_stack, write_stack
from napari_sparsessp.errors import InputError
from napari_sparsessp.training.pairs import Label, PairReader

GRID = (0.29, 0.29, 0.29)


@pytest.fixture
def image(tmp_path):
    """8 planes of 40×40 at half the model's pixel size, two channels."""
    both = np.stack([a_stack(seed=0), a_stack(seed=1)])
    return write_stack(
        tmp_path / "a.ome.tif", both, "CZYX", (0.29, 0.145, 0.145), ["TL", "DNA"]
    )


def reader(tmp_path, **changes):
    return PairReader(tmp_path / "cache", GRID, changes.pop("scaling", "zscore"))


def test_stacks_are_normalised_on_the_model_s_pixels(image, tmp_path):
    (pair,) = reader(tmp_path).read([Label(image, "TL", image, "DNA", "dna")])
    target = pair.targets["dna"].astype(np.float32)
    assert pair.signal.shape == target.shape == (8, 20, 20)
    assert pair.signal.dtype == np.float16
    assert float(target.mean()) == pytest.approx(0, abs=1e-3)
    assert float(target.std()) == pytest.approx(1, abs=1e-3)


def test_counts_of_a_model_that_takes_them_as_they_are_stay_whole(tmp_path):
    """Beyond what float16 holds."""
    bright = np.full((8, 20, 20), 60_001, np.uint16)
    bright[0, 0, 0] = 65_535
    path = write_stack(tmp_path / "b.ome.tif", bright)
    labels = [Label(path, None, path, None, "dna")]
    (pair,) = reader(tmp_path, scaling="none").read(labels)
    np.testing.assert_array_equal(pair.signal, bright)


def test_a_stack_is_read_once(image, tmp_path, monkeypatch):
    """And again when its file has changed."""
    labels = [Label(image, 0, image, 1, "dna")]
    first = reader(tmp_path).read(labels)[0].signal.copy()
    with monkeypatch.context() as patched:
        patched.setattr("napari_sparsessp.training.pairs.load_volume", None)
        again = reader(tmp_path).read(labels)[0].signal
    np.testing.assert_array_equal(first, again)
    write_stack(image, np.stack([a_stack(seed=5)] * 2), "CZYX", (0.29, 0.145, 0.145))
    assert not np.array_equal(reader(tmp_path).read(labels)[0].signal, first)


def test_labels_of_one_stack_come_together_and_test_stays_out(image, tmp_path):
    flat = write_stack(tmp_path / "p.ome.tif", a_stack(1, 40, 3), voxel_size=None)
    mask = write_stack(
        tmp_path / "m.ome.tif", (a_stack(8, 40, 4) > 2000).astype(np.uint8),
        voxel_size=None,
    )  # fmt: skip
    (pair,) = reader(tmp_path).read(
        [
            Label(image, "TL", image, "DNA", "dna", mask),
            Label(image, "TL", flat, None, "map2"),
            Label(flat, None, flat, None, "dna", split="test"),
        ]
    )
    assert pair.targets["map2"].shape == (1, 20, 20)
    assert pair.masks["dna"].shape == (8, 20, 20)
    assert set(np.unique(pair.masks["dna"])) <= {0, 1}
    assert list(pair.masks) == ["dna"]


def test_what_does_not_fit_is_told(image, tmp_path):
    other = write_stack(tmp_path / "o.ome.tif", a_stack(5, 40))
    with pytest.raises(InputError, match="o.ome.tif has shape"):
        reader(tmp_path).read([Label(image, 0, other, None, "dna")])
    with pytest.raises(InputError, match="no channel 7"):
        reader(tmp_path).read([Label(image, 0, image, 7, "dna")])
    with pytest.raises(InputError, match="dna twice"):
        reader(tmp_path).read([Label(image, 0, image, 1, "dna")] * 2)
    dark = write_stack(tmp_path / "d.ome.tif", np.zeros((8, 40, 40), np.uint16))
    with pytest.raises(InputError, match="d.ome.tif, signal: .*constant"):
        reader(tmp_path).read([Label(dark, None, dark, None, "dna")])


def test_assumptions_are_told_once(tmp_path):
    told = []
    images = [
        write_stack(tmp_path / f"{k}.ome.tif", a_stack(seed=k), voxel_size=None)
        for k in range(2)
    ]
    one = PairReader(tmp_path / "cache", GRID, "robust", told.append)
    one.read([Label(images[0], None, images[1], None, "dna")])
    assert len(told) == 2
    assert all("pixel size is unknown" in text for text in told)

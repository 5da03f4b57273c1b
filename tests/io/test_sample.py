"""The bundled sample is there, small, and says what it is."""

import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.io import sample
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.structures import CATALOGUE


def _paths():
    try:
        return sample.sample_paths()
    except InputError as error:
        pytest.skip(str(error))


def test_sample_and_truth_fit_together():
    stack, truth = (load_volume(path) for path in _paths())
    assert stack.axes == "ZYX"
    assert truth.axes == "CZYX"
    assert set(truth.channel_names) <= set(CATALOGUE)
    assert truth.sizes["Z"] == 4 * stack.sizes["Z"]
    assert stack.voxel_size[0] == pytest.approx(4 * truth.voxel_size[0])


def test_sample_is_small_enough_to_ship():
    assert sum(path.stat().st_size for path in _paths()) <= 5e6


def test_a_missing_sample_is_told(monkeypatch):
    monkeypatch.setattr(sample, "_STACK", "nothing.ome.tif")
    with pytest.raises(InputError, match="reinstall"):
        sample.sample_paths()

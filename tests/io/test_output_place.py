"""A result takes its name only when it is complete, and nothing else is left."""

import numpy as np
import pytest
import zarr

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.streaming import PredictionWriter
from stored import BOTH, CUT, a_request, a_volume, names_in, store, voxels
from thin import STRUCTURES


def test_nothing_done_leaves_nothing(model, tmp_path):
    volume = a_volume()
    volume.array[:] = 7
    with pytest.raises(InputError, match="constant"):
        store(model, volume, tmp_path / "out.ome.zarr")
    with pytest.raises(InputError, match="constant"):
        store(model, a_volume(), tmp_path / "out.ome.zarr", truth={"dna": volume})
    assert names_in(tmp_path) == []


def test_an_old_result_stays_until_the_new_one_is_complete(model, tmp_path):
    for name in BOTH:
        path = tmp_path / name
        store(model, a_volume(), path, a_request(**CUT, structures=("dna",)))
        old = voxels(path)
        store(model, a_volume(), path, a_request(**CUT), cancel_after=3, overwrite=True)
        np.testing.assert_array_equal(voxels(path), old)
        with pytest.raises(OutputError, match="exists already"):
            PredictionWriter(path, resume=True)
        store(model, a_volume(), path, a_request(**CUT), resume=True, overwrite=True)
        assert load_volume(path).channel_names == STRUCTURES
    assert names_in(tmp_path) == sorted(BOTH)


def test_a_death_between_two_names_gives_the_old_result_back(model, tmp_path):
    path = tmp_path / "out.ome.zarr"
    store(model, a_volume(), path, a_request(**CUT))
    path.rename(tmp_path / ".out.ome.zarr.old")
    with pytest.raises(OutputError, match="exists already"):
        PredictionWriter(path)
    assert names_in(tmp_path) == ["out.ome.zarr"]


def test_a_second_writer_is_kept_out_also_through_a_link(tmp_path):
    real, link = tmp_path / "real.ome.zarr", tmp_path / "link.ome.zarr"
    zarr.create_group(real)
    link.symlink_to(real, target_is_directory=True)
    with PredictionWriter(real, overwrite=True):
        for path in (real, link):
            with pytest.raises(OutputError, match="another process is writing"):
                PredictionWriter(path, overwrite=True, resume=True)
        with PredictionWriter(tmp_path / "other.ome.zarr"):
            pass
    with PredictionWriter(link, overwrite=True):
        pass
    assert names_in(tmp_path) == ["link.ome.zarr", "real.ome.zarr"]


@pytest.mark.parametrize("name", BOTH)
def test_a_link_stays_and_what_it_leads_to_is_replaced(model, tmp_path, name):
    """So may a user keep large results on another disk."""
    disk, desk = tmp_path / "disk", tmp_path / "desk"
    disk.mkdir()
    desk.mkdir()
    real, link = disk / f"real-{name}", desk / name
    request = a_request(**CUT)
    store(model, a_volume(), real, a_request(**CUT, structures=("dna",)))
    link.symlink_to(real, target_is_directory=real.is_dir())
    with pytest.raises(OutputError, match="exists already"):
        PredictionWriter(link)
    store(model, a_volume(), link, request, cancel_after=3, overwrite=True)
    assert load_volume(real).channel_names == STRUCTURES[:1]
    store(model, a_volume(), link, request, overwrite=True, resume=True)
    assert load_volume(real).channel_names == STRUCTURES
    assert link.is_symlink()
    assert (names_in(disk), names_in(desk)) == ([real.name], [name])

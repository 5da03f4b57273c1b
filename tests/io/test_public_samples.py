"""Public samples: where they come from, and how they get here or do not."""

import re
import shutil

import numpy as np
import pytest
import tifffile

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.io import public_samples
from napari_sparsessp.io.samples import PUBLIC_SAMPLES, fetch, open_sample

PAIR = PUBLIC_SAMPLES["hipsc_dna_pair"]


@pytest.fixture(autouse=True)
def samples_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSESSP_SAMPLES", str(tmp_path / "samples"))
    return tmp_path / "samples"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """`server[name]`: what is at the address that ends so; asked addresses in order."""

    class Server(dict):
        """Files by name."""

    files = Server()
    files.asked = []

    def download(url, target, *, sha256, progress, largest):
        files.asked.append((url, sha256))
        source = files[url.rsplit("/", 1)[1]]
        if isinstance(source, Exception):
            raise source
        target.parent.mkdir(parents=True, exist_ok=True)
        size = source.stat().st_size
        assert size < largest
        progress(0, size)
        shutil.copyfile(source, target)
        progress(size, size)
        return target

    monkeypatch.setattr(public_samples, "download", download)
    for number, name in enumerate(("light", "nuc")):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(
            path,
            np.full((4, 5, 6), 1.0 + number, np.float32),
            photometric="minisblack",
        )
        files[f"run_170622_174530_whole_cropped_{name}.tif"] = path
    return files


@pytest.mark.parametrize("sample", PUBLIC_SAMPLES.values(), ids=PUBLIC_SAMPLES)
def test_every_sample_tells_what_it_is_and_is_of_a_fixed_version(sample):
    assert sample.title
    assert sample.licence
    assert sample.credit
    assert sample.size
    for one in sample.files:
        assert re.fullmatch("[0-9a-f]{40}", one.commit)
        assert one.sha256 is None or re.fullmatch("[0-9a-f]{64}", one.sha256)
        assert one.url.startswith("https://raw.githubusercontent.com/")
        assert re.fullmatch(r"[\w./:%-]+", one.url)
    assert len({one.url for one in sample.files}) == len(sample.files)


def test_checksums_are_those_that_are_recorded(shared_data):
    told = shared_data("README.md").read_text(encoding="utf-8")
    recorded = re.findall("[0-9a-f]{64}", told)
    known = [f.sha256 for one in PUBLIC_SAMPLES.values() for f in one.files if f.sha256]
    assert sorted(known) == sorted(recorded)
    assert PAIR.checksum_known
    assert not PUBLIC_SAMPLES["neurons"].checksum_known


def test_nothing_is_asked_before_it_is_fetched(server):
    assert not any(one.is_here for one in PUBLIC_SAMPLES.values())
    with pytest.raises(InputError, match="fetch it first"):
        open_sample(PAIR)
    assert server.asked == []


def test_a_fetched_sample_is_one_ome_tiff_and_stays(server, samples_folder):
    told = []
    fetch(PAIR, lambda what, share: told.append((what, share)))
    assert [sha for _, sha in server.asked] == [one.sha256 for one in PAIR.files]
    (volume,) = open_sample(PAIR)
    assert (volume.axes, volume.shape) == ("CZYX", (2, 4, 5, 6))
    assert volume.numpy()[:, 0, 0, 0].tolist() == [1, 2]
    assert [path.name for path in PAIR.folder.iterdir()] == ["hipsc_dna_pair.ome.tif"]
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert "file 2 of 2" in told[-2][0]
    fetch(PAIR)
    assert len(server.asked) == 2


def test_what_has_come_is_not_asked_again(server):
    whole = dict(server)
    server["run_170622_174530_whole_cropped_nuc.tif"] = InputError("no network; wait")
    with pytest.raises(InputError, match="no network"):
        fetch(PAIR)
    assert not PAIR.is_here
    server.update(whole)
    fetch(PAIR)
    names = [url.rsplit("_", 1)[1] for url, _ in server.asked]
    assert names == ["light.tif", "nuc.tif", "nuc.tif"]
    assert PAIR.is_here


def test_the_user_can_stop(server):
    class Stopped(Exception):
        pass

    def meter(_what, share):
        if share > 0.4:
            raise Stopped

    with pytest.raises(Stopped):
        fetch(PAIR, meter)
    assert not PAIR.is_here


def test_an_unexpected_image_is_thrown_away(server, tmp_path):
    (tmp_path / "page").write_text("<html>gone</html>")
    server["run_170622_174530_whole_cropped_nuc.tif"] = tmp_path / "page"
    with pytest.raises(InputError, match="not the expected image"):
        fetch(PAIR)
    assert list(PAIR.folder.iterdir()) == []


def test_a_single_file_stays_as_it_is(server, shared_data):
    nikon = shared_data("pbmc_brightfield_dapi_fitc_tritc.nd2")
    server["example-pbmc.nd2"] = nikon
    sample = PUBLIC_SAMPLES["blood_cells"]
    fetch(sample)
    assert sample.paths[0].read_bytes() == nikon.read_bytes()
    (volume,) = open_sample(sample)
    assert volume.channel_names == ("Mono", "DAPI", "FITC BP", "TRITC BP")


def test_a_single_file_that_is_no_image_is_thrown_away(server, tmp_path):
    (tmp_path / "page").write_text("<html>gone</html>")
    server["example-pbmc.nd2"] = tmp_path / "page"
    sample = PUBLIC_SAMPLES["blood_cells"]
    with pytest.raises(InputError, match="cannot be read as an image"):
        fetch(sample)
    assert not sample.is_here


def test_a_file_that_cannot_be_written_is_told(server):
    PAIR.paths[0].mkdir(parents=True)  # something else has its name
    with pytest.raises(OutputError, match="cannot write the sample"):
        fetch(PAIR)


def test_the_real_download_checks_what_comes(tmp_path, file_server, monkeypatch):
    """Through the real function and a server: wrong bytes first, right ones then."""
    import hashlib

    whole = {}
    for number, name in enumerate(("light", "nuc")):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(
            path, np.full((4, 5, 6), 1 + number, np.float32), photometric="minisblack"
        )
        whole[name] = path.read_bytes()
        file_server.files[name] = whole[name]
    parts = tuple(
        one.model_copy(update={"sha256": hashlib.sha256(whole[name]).hexdigest()})
        for one, name in zip(PAIR.files, whole, strict=True)
    )
    sample = PAIR.model_copy(update={"files": parts})
    real = public_samples.download
    local = {
        one.url: file_server.url(name) for one, name in zip(parts, whole, strict=True)
    }
    monkeypatch.setattr(
        public_samples,
        "download",
        lambda url, *args, **how: real(local[url], *args, **how),
    )
    file_server.files["nuc"] = b"x" * len(whole["nuc"])
    with pytest.raises(InputError, match="not the expected one"):
        fetch(sample)
    assert not sample.is_here
    file_server.files["nuc"] = whole["nuc"]
    fetch(sample)
    (volume,) = open_sample(sample)
    assert volume.numpy()[:, 0, 0, 0].tolist() == [1, 2]
    assert [path.name for path in sample.folder.iterdir()] == [PAIR.stack]

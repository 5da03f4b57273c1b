"""Lists of pairs: ours, the published one, a folder."""

import os
from pathlib import Path

import numpy as np
import pytest

from images import a_stack, write_stack
from napari_sparsessp.errors import InputError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.training.pairs import Label, PairReader, read_labels
from napari_sparsessp.volume import content_hash

PUBLISHED = Path(__file__).resolve().parents[3] / "shared/parity/repmode_dna.csv"


def listed(folder, text, name="pairs.csv"):
    """Write a CSV and empty files for all images that it names."""
    for line in text.splitlines()[1:]:
        for word in line.split(","):
            if word.strip().endswith(".tif"):
                image = folder / word.strip()
                image.parent.mkdir(parents=True, exist_ok=True)
                image.touch()
    file = folder / name
    file.write_text(text)
    return file


def test_a_list_of_ours(tmp_path):
    """Names or indices, several labels of a stack, mask and split."""
    file = listed(
        tmp_path,
        "path,signal channel,target channel,structure,mask,split\n"
        "a.tif,Bright,Hoechst,dna,m.tif,train\n"
        "a.tif,Bright,2,lamin_b1,,train\n"
        "b.tif,0,1,MAP2,,val\n",
    )
    a, b, mask = tmp_path / "a.tif", tmp_path / "b.tif", tmp_path / "m.tif"
    assert read_labels(file) == [
        Label(a, "Bright", a, "Hoechst", "dna", mask, "train"),
        Label(a, "Bright", a, 2, "nuclear_envelope", None, "train"),
        Label(b, 0, b, 1, "map2", None, "validation"),
    ]


def test_the_published_form(tmp_path):
    """The list's name goes before the folders: DNA was drawn from the other sets."""
    text = (
        "path_czi,channel_signal,channel_target,structureProteinName,colony_position\n"
        "data/alpha_tubulin/x 1.tif,6,5,Alpha tubulin,\n"
    )
    dna = listed(tmp_path, text, "repmode_dna.csv")
    tubulin = listed(tmp_path, text, "list.csv")
    image = tmp_path / "data/alpha_tubulin/x 1.tif"
    assert read_labels(dna) == [Label(image, 6, image, 5, "dna")]
    assert read_labels(tubulin)[0].structure == "microtubule"
    assert read_labels(tubulin, structure="zo1")[0].structure == "tight_junction"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published list is not here")
def test_the_published_list_loads_unchanged(tmp_path):
    """All its lines; without the images, one line says which is the first missing."""
    with pytest.raises(InputError) as caught:
        read_labels(PUBLISHED)
    assert "720 of the 720 images" in str(caught.value)
    assert "3500000757_100X_20170327_2-Scene-1-P19-D04.czi" in str(caught.value)
    for line in PUBLISHED.read_text().splitlines()[1:]:
        image = tmp_path / line.split(",")[0]
        image.parent.mkdir(parents=True, exist_ok=True)
        image.touch()
    labels = read_labels(PUBLISHED, root=tmp_path)
    assert len(labels) == 720
    assert {one.structure for one in labels} == {"dna"}
    assert {(one.signal, one.target) for one in labels} >= {(6, 5)}


def test_stains_keep_their_name_and_structures_have_one(tmp_path):
    """A model may bring DAPI of its own; the catalogue's names all mean its id."""
    rows = ("DAPI", "DNA", "Golgi apparatus", "tom20")
    text = "path,signal,target,structure\n"
    text += "".join(f"a.tif,0,{k},{name}\n" for k, name in enumerate(rows, 1))
    labels = read_labels(listed(tmp_path, text))
    assert [one.structure for one in labels] == [
        "dapi", "dna", "golgi_apparatus", "mitochondria",
    ]  # fmt: skip


def test_a_folder_needs_to_know_what_is_in_it(tmp_path):
    (tmp_path / "a.ome.tif").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "._a.ome.tif").touch()  # what macOS leaves beside a file
    labels = read_labels(tmp_path, structure="dna", signal=0, target="DAPI")
    image = tmp_path / "a.ome.tif"
    assert labels == [Label(image, 0, image, "DAPI", "dna")]
    with pytest.raises(InputError, match="needs structure, signal and target"):
        read_labels(tmp_path, structure="dna")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_lists_of_spreadsheets_are_read(tmp_path, separator, encoding):
    (tmp_path / "a.tif").touch()
    rows = ("path,signal,target,structure", "a.tif,Durchlicht,DAPI,Zellkern groß")
    text = "\r\n".join(rows).replace(",", separator)
    (tmp_path / "list.csv").write_text(text, encoding=encoding, newline="")
    (label,) = read_labels(tmp_path / "list.csv")
    assert (label.signal, label.target) == ("Durchlicht", "DAPI")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,signal\na.tif,0\n", "no column target"),
        ("file,signal,target\na.tif,0,1\n", "no column path"),
        ("path,signal,target\n", "lists no pair"),
        ("path,signal,target\na.tif,0,1\n", "nothing says which structure"),
        ("path,signal,target,structure\na.tif,,1,dna\n", "line 2: signal is empty"),
        ("path,signal,target,structure,split\na.tif,0,1,dna,both\n", "none of train"),
    ],
)
def test_an_error_says_what_is_wrong_with_a_list(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read_labels(listed(tmp_path, text))


def test_what_is_no_list_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read the list"):
        read_labels(tmp_path / "no.csv")
    if Path(os.devnull).exists():
        with pytest.raises(InputError, match="a pipe or a device"):
            read_labels(Path(os.devnull))
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(InputError):
        read_labels(tmp_path / "x.csv")


GRID = (0.29, 0.29, 0.29)


@pytest.fixture
def image(tmp_path):
    """8 planes of 40×40 at half the model's pixel size, two channels."""
    both = np.stack([a_stack(seed=0), a_stack(seed=1)])
    return write_stack(
        tmp_path / "a.ome.tif", both, "CZYX", (0.29, 0.145, 0.145), ["TL", "DNA"]
    )


def read(tmp_path, *labels, scaling="zscore", **more):
    reader = PairReader(tmp_path / "cache", GRID, scaling, **more)
    return reader.read(labels, ("dna", "map2"))


def test_stacks_are_normalised_on_the_model_s_pixels(image, tmp_path):
    (pair,) = read(tmp_path, Label(image, "TL", image, "DNA", "dna"))
    assert pair.digest == content_hash(load_volume(image, channel="TL"))
    target = pair.targets[0].astype(np.float32)
    assert pair.looks[0].shape == target.shape == (8, 20, 20)
    assert pair.looks.dtype == np.float16
    assert float(target.mean()) == pytest.approx(0, abs=1e-3)
    assert float(target.std()) == pytest.approx(1, abs=1e-3)


def test_hot_pixels_and_lost_planes_of_a_target_neither_scale_nor_count(tmp_path):
    clean = a_stack(seed=1)
    spoiled = clean.copy()
    spoiled[2, 5, 5] = spoiled[3, 30, 7] = spoiled[6, 20, 20] = 65_535
    spoiled[4] = 0
    warned, found = [], []
    light = write_stack(tmp_path / "tl.ome.tif", a_stack(seed=0))
    for name, array in (("clean", clean), ("spoiled", spoiled)):
        path = write_stack(tmp_path / f"{name}.ome.tif", array)
        label = Label(light, None, path, None, "dna")
        (pair,) = read(tmp_path, label, warn=warned.append)
        found.append(pair.targets[0].astype(np.float32))
    assert np.isnan(found[1][4]).all()
    rest = np.delete(found, 4, axis=1)
    assert np.abs(rest[1] - rest[0]).mean() < 0.02
    (text,) = warned
    assert "spoiled.ome.tif: 3 hot pixels" in text


def test_a_label_image_is_no_target(tmp_path):
    labels = np.zeros((8, 40, 40), np.uint16)
    labels[:, 5:15, 5:15], labels[:, 20:35, 20:35] = 1, 2
    path = write_stack(tmp_path / "l.ome.tif", labels)
    light = write_stack(tmp_path / "tl.ome.tif", a_stack(seed=0))
    with pytest.raises(InputError, match="l.ome.tif, target: it is a label image"):
        read(tmp_path, Label(light, None, path, None, "dna"))


def test_counts_of_a_model_that_takes_them_as_they_are_stay_whole(tmp_path):
    """Beyond what float16 holds."""
    bright = np.full((8, 20, 20), 60_001, np.uint16)
    bright[0, 0, 0] = 65_535
    path = write_stack(tmp_path / "b.ome.tif", bright)
    target = write_stack(tmp_path / "t.ome.tif", a_stack(8, 20))
    labels = [Label(path, None, target, None, "dna")]
    (pair,) = read(tmp_path, *labels, scaling="none")
    np.testing.assert_array_equal(pair.looks[0], bright)


def test_a_stack_is_read_once(image, tmp_path, monkeypatch):
    """And again when its file has changed."""
    labels = [Label(image, 0, image, 1, "dna")]
    first = read(tmp_path, *labels)[0].looks.copy()
    with monkeypatch.context() as patched:
        patched.setattr("napari_sparsessp.training.pairs.load_volume", None)
        again = read(tmp_path, *labels)[0].looks
    np.testing.assert_array_equal(first, again)
    write_stack(image, np.stack([a_stack(seed=5)] * 2), "CZYX", (0.29, 0.145, 0.145))
    assert not np.array_equal(read(tmp_path, *labels)[0].looks, first)


def test_labels_of_one_stack_come_together_and_test_stays_out(image, tmp_path):
    flat = write_stack(tmp_path / "p.ome.tif", a_stack(1, 40, 3), voxel_size=None)
    mask = write_stack(
        tmp_path / "m.ome.tif", (a_stack(8, 40, 4) > 2000).astype(np.uint8),
        voxel_size=None,
    )  # fmt: skip
    (pair,) = read(
        tmp_path,
        Label(image, "TL", flat, None, "map2"),
        Label(image, "TL", image, "DNA", "dna", mask),
        Label(flat, None, flat, None, "dna", split="test"),
    )
    assert pair.labels == (0, 1)
    assert pair.targets[1].shape == (1, 20, 20)
    assert pair.masks[0].shape == (8, 20, 20)
    assert set(np.unique(pair.masks[0])) <= {0, 1}
    assert pair.masks[1] is None


def test_images_that_do_not_fit_are_refused(image, tmp_path):
    other = write_stack(tmp_path / "o.ome.tif", a_stack(5, 40))
    with pytest.raises(InputError, match="o.ome.tif has shape"):
        read(tmp_path, Label(image, 0, other, None, "dna"))
    with pytest.raises(InputError, match="no channel 7"):
        read(tmp_path, Label(image, 0, image, 7, "dna"))
    with pytest.raises(InputError, match="dna twice"):
        read(tmp_path, *[Label(image, 0, image, 1, "dna")] * 2)
    with pytest.raises(InputError, match="40 pixels in x; data.pairs.crop asks for 0"):
        read(tmp_path, Label(image, 0, image, 1, "dna"), crop={"x": (0, 64)})
    dark = write_stack(tmp_path / "d.ome.tif", np.zeros((8, 40, 40), np.uint16))
    with pytest.raises(InputError, match="d.ome.tif, signal: .*constant"):
        read(tmp_path, Label(dark, None, dark, None, "dna"))


def test_assumptions_are_warned_of_once(tmp_path):
    warned = []
    images = [
        write_stack(tmp_path / f"{k}.ome.tif", a_stack(seed=k), voxel_size=None)
        for k in range(2)
    ]
    label = Label(images[0], None, images[1], None, "dna")
    read(tmp_path, label, warn=warned.append)
    assert len(warned) == 2
    assert all("pixel size is unknown" in text for text in warned)

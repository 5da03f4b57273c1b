"""Mutated files, requests and checkpoints: a result or one of our errors, in time.

``SPARSESSP_FUZZ=10000 pytest tests/hostile/test_fuzz.py`` looks longer and at other
examples; without it the examples are the same every time.
"""

import io
import json
import os
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import tifffile
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import published
from hostile.cases_ome import DATA, header, ome
from hostile.cases_zarr import a_zarr
from hostile.desk import STACK, Desk, little_memory
from napari_sparsessp import PredictionRequest, load_volume
from napari_sparsessp.cli.options import make_request, read_request
from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.io.zarr_reading import check_packed
from napari_sparsessp.models.importing import inspect_checkpoint
from napari_sparsessp.models.library import card_of, load_model
from napari_sparsessp.training.pairs import read_labels

LONG = int(os.environ.get("SPARSESSP_FUZZ", "0"))

pytestmark = [pytest.mark.timeout(0)] if LONG else []


def fuzz(examples):
    """Few examples, the same each time; many and others where a long run is asked."""
    return settings(
        max_examples=LONG or examples,
        deadline=None,
        derandomize=not LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def damaged(whole: bytes):
    """Bytes flipped near the beginning or the end, cut short, or told twice."""
    size = len(whole)
    near = st.integers(0, min(size, 2000) - 1)
    place = near | st.integers(max(0, size - 2000), size - 1) | st.integers(0, size - 1)
    odd = st.sampled_from([b"\0", b"\xff", b"\x7f", b"\xff\xff\xff\xff", b"\0\0\0\0"])
    flips = st.lists(st.tuples(place, odd | st.binary(min_size=1, max_size=4)))

    def make(parts):
        changes, end, twice = parts
        content = bytearray(whole)
        for at, value in changes[:8]:
            content[at : at + len(value)] = value
        return bytes(content[:end] + content[twice:] if twice else content[:end])

    ends = st.just(size) | place
    return st.tuples(flips, ends, st.just(0) | place).map(make)


@contextmanager
def answered():
    """Either it works, or one of our errors says why in one line."""
    said = "it works"
    try:
        yield
    except SparseSSPError as error:
        said = str(error)
    assert said
    assert "\n" not in said


def looked_at(path) -> None:
    """Open an image and read a plane of what it says to be small."""
    with answered(), little_memory():
        volume = load_volume(path)
        while volume.axes != "ZYX":
            axis = volume.axes[0]
            volume = volume.time(0) if axis == "T" else volume.channel(0)
        if np.prod(volume.shape[1:]) < 1e7:
            volume.planes([0])


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A whole image of each kind, as bytes by name."""
    folder = tmp_path_factory.mktemp("images")
    desk = Desk(folder, folder)
    header(ome(DATA))(desk)
    plain = {"metadata": {"axes": "ZYX"}, "photometric": "minisblack"}
    tifffile.imwrite(folder / "plain.tif", STACK, **plain)
    tifffile.imwrite(folder / "zlib.tif", STACK, compression="zlib", **plain)
    tifffile.imwrite(folder / "big.tif", STACK, bigtiff=True, tile=(16, 16), **plain)
    tifffile.imwrite(folder / "imagej.tif", STACK, imagej=True)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    "name", ["ome.ome.tif", "plain.tif", "zlib.tif", "big.tif", "imagej.tif", "a.nd2"]
)
def test_damaged_images(images, shared_data, tmp_path, name):
    nikon = "pbmc_brightfield_dapi_fitc_tritc.nd2"
    whole = images.get(name) or shared_data(nikon).read_bytes()

    @fuzz(15)
    @given(damaged(whole))
    def run(content):
        (tmp_path / name).write_bytes(content)
        looked_at(tmp_path / name)

    run()


words = st.text(max_size=20)
odd = st.sampled_from([0, -1, 2**31, 2**63, 10**30, 1e308, 1e-308])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | odd | words


def _nested(inner):
    return st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=3)


values = st.recursive(scalars, _nested, max_leaves=8)


def places(content, way=()):
    """The way to every value of a JSON document."""
    inner = dict(enumerate(content)) if isinstance(content, list) else content
    found = [way] if way else []
    for key, value in inner.items() if isinstance(inner, dict) else ():
        found += places(value, (*way, key))
    return found


@st.composite
def changed(draw, content):
    """A document with a few of its values replaced."""
    content = json.loads(json.dumps(content))
    for way in draw(st.lists(st.sampled_from(places(content)), min_size=1, max_size=3)):
        inner = content
        with suppress(KeyError, IndexError, TypeError):
            for key in way[:-1]:
                inner = inner[key]
            inner[way[-1]] = draw(values)
    return content


@pytest.mark.parametrize("name", ["zarr.json", "0/zarr.json", ".zattrs", "0/.zarray"])
def test_odd_zarr_metadata(tmp_path, name):
    desk = Desk(tmp_path, tmp_path)
    path = a_zarr(desk, zarr_format=3 if name.endswith("zarr.json") else 2)
    whole = json.loads((path / name).read_text())

    @fuzz(15)
    @given(changed(whole))
    def run(content):
        (path / name).write_text(json.dumps(content))
        looked_at(path)

    run()


names = st.sampled_from(sorted(PredictionRequest.model_fields)) | words


@fuzz(150)
@given(st.dictionaries(names, values, max_size=4))
def test_odd_requests(fields):
    with answered():
        asked = make_request(fields)
        assert make_request(json.loads(asked.model_dump_json())) == asked


@pytest.mark.parametrize("form", ["yaml", "text"])
def test_odd_yaml(tmp_path, form):
    path = tmp_path / "request.yaml"
    signs = st.text("ab:-[]{}&*!|>'\"#%@`,?~<=. \n\t019_", max_size=40)

    @fuzz(80)
    @given(values.map(yaml.safe_dump) if form == "yaml" else signs | st.text())
    def run(text):
        path.write_text(text, encoding="utf-8", errors="replace")
        with answered():
            make_request(read_request(path))

    run()


@fuzz(60)
@given(st.binary(max_size=200) | st.text('",;=\n\t ab01\0', max_size=200))
def test_odd_lists_of_pairs(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "pairs.csv"
    text = b"path,signal,target,structure\n"
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(text + raw)
    with answered():
        read_labels(path)


def test_damaged_models(model_file, tmp_path):
    path = tmp_path / "model.safetensors"

    @fuzz(60)
    @given(damaged(model_file.read_bytes()))
    def run(content):
        path.write_bytes(content)
        with answered():
            card_of(path)
            load_model(path)

    run()


def test_odd_headers_of_models(model_file, tmp_path):
    path = tmp_path / "model.safetensors"
    whole = model_file.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    head = json.loads(whole[8 : 8 + length])
    card = json.loads(head["__metadata__"]["card"])

    @fuzz(60)
    @given(changed(head), changed(card), st.booleans())
    def run(other, other_card, inside):
        if inside:
            other = {**head, "__metadata__": {"card": json.dumps(other_card)}}
        text = json.dumps(other).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])
        with answered():
            load_model(path)

    run()


def test_damaged_checkpoints(tmp_path):
    whole = tmp_path / "whole.p"
    published.fnet(whole)
    legacy, path = io.BytesIO(), tmp_path / "best.p"
    content = torch.load(whole, weights_only=True)
    torch.save(content, legacy, _use_new_zipfile_serialization=False)

    @fuzz(40)
    @given(damaged(whole.read_bytes()) | damaged(legacy.getvalue()))
    def run(content):
        path.write_bytes(content)
        with answered():
            inspect_checkpoint(path)

    run()


@fuzz(100)
@given(
    st.sampled_from([b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"\x02\x01", b"BZh9", b"\x78"]),
    st.binary(max_size=64),
)
def test_odd_packed_blocks(start, rest):
    with suppress(OSError):
        check_packed(start + rest, 1000, "0/0")

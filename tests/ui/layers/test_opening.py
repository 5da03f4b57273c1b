"""What files say of looks is believed only as far as napari knows it."""

import json

import numpy as np
import pytest
from napari.layers import Image
from napari.utils import Colormap

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.layers import LayerRecord, write_layers
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.layers.opening import open_file
from napari_sparsessp.ui.layers.saving import records_of
from napari_sparsessp.ui.napari_compat import layer_key


@pytest.fixture
def folder(tmp_path):
    """Two layers on one grid."""
    fields = {
        "axes": "ZYX",
        "axis_labels": ("z", "y", "x"),
        "units": ("micrometer",) * 3,
        "scale": (0.29,) * 3,
        "translate": (0.0,) * 3,
        "contrast_limits": (0.0, 1.0),
    }
    about = {"role": "prediction", "structure": "dna"}
    source = LayerRecord(name="light", **fields)
    made = LayerRecord(name="DNA", about=about, source=0, **fields)
    array = np.ones((2, 5, 6), np.float32)
    return write_layers(tmp_path / "a.ome.zarr", [(source, array), (made, array)])


def change(folder, name, value):
    file = folder / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"]["sparsessp"]["layers"][1][name] = value
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("units", ["micrometer", "furlongs per", "micrometer"]),
        ("blending", "over there"),
        ("rendering", "__class__"),
        ("colormap", "no such map"),
    ],
)
def test_unknown_looks_are_told_in_one_line(folder, name, value):
    change(folder, name, value)
    with pytest.raises(InputError, match="cannot be shown") as told:
        open_file(str(folder))
    assert "\n" not in str(told.value)


def test_opening_twice_ties_each_to_its_own(folder):
    once, again = open_file(str(folder)), open_file(str(folder))
    for light, dna in (once, again):
        assert dna.metadata[KEY]["source_id"] == str(light.unique_id)


def test_colours_stand_where_they_stood(tmp_path):
    uneven = Colormap(
        [[0, 0, 1, 1], [0, 0, 0, 1], [1, 0, 0, 1]], controls=[0, 0.2, 1], name="uneven"
    )
    steps = Colormap(
        [[0, 0, 0, 1], [1, 0, 0, 1]], controls=[0, 0.3, 1], interpolation="zero"
    )
    layers = [Image(np.ones((2, 4, 5)), colormap=one) for one in (uneven, steps)]
    tuples = [one.as_layer_data_tuple() for one in layers]
    path = write_layers(tmp_path / "c.ome.zarr", records_of(tuples))
    for was, now in zip(layers, open_file(str(path)), strict=True):
        some = np.linspace(0, 1, 33)
        np.testing.assert_allclose(now.colormap.map(some), was.colormap.map(some))


def test_an_error_is_tied_to_its_prediction_and_truth(folder, tmp_path):
    light, dna = open_file(str(folder))
    truth = Image(np.ones((2, 5, 6)), name="truth")
    told = {"role": "error", "structure": "dna", "of_id": layer_key(dna)}
    told |= {"source_id": layer_key(light), "truth_id": layer_key(truth)}
    error = Image(np.zeros((2, 5, 6), np.float32), name="E", metadata={KEY: told})
    layers = [light, dna, truth, error]
    tuples = [one.as_layer_data_tuple() for one in layers]
    path = write_layers(tmp_path / "b.ome.zarr", records_of(tuples, layers))
    again = {one.name: one for one in open_file(str(path))}
    found = again["E"].metadata[KEY]
    assert found["of_id"] == layer_key(again["DNA"])
    assert found["truth_id"] == layer_key(again["truth"])
    alone = write_layers(tmp_path / "c.ome.zarr", records_of(tuples[3:], layers[3:]))
    (lost,) = open_file(str(alone))
    assert (lost.metadata[KEY]["of_id"], lost.metadata[KEY]["truth_id"]) == (None, None)

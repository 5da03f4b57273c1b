"""What files say of looks is believed only as far as napari knows it."""

import json

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.layer_folder import write_layers
from napari_sparsessp.io.layer_record import LayerRecord
from napari_sparsessp.ui.layer_file import FilePlace, file_of, is_same_file
from napari_sparsessp.ui.layer_marks import KEY
from napari_sparsessp.ui.layer_opening import open_file, read_file


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


def test_a_layer_knows_its_file_and_channel(folder):
    light, dna = open_file([str(folder)])
    assert file_of(light) == FilePlace(str(folder), None, 0)
    assert file_of(dna) == FilePlace(str(folder), None, 1)
    assert is_same_file(str(folder), f"{folder}/../{folder.name}")


def test_opening_twice_ties_each_to_its_own(folder):
    once, again = open_file(str(folder)), open_file(str(folder))
    for light, dna in (once, again):
        assert dna.metadata[KEY]["source_id"] == str(light.unique_id)


def test_reading_in_a_thread_makes_no_layers_yet(folder):
    opened = read_file(folder)
    assert [record.name for record, _ in opened.saved] == ["light", "DNA"]
    assert opened.plain == []

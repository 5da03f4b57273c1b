"""Which layers belong to a stack: by file, sample, folder, name, and by runs."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("napari")
from napari.layers import Image

from napari_sparsessp.ui.layers.metadata import KEY, FilePlace
from napari_sparsessp.ui.layers.stacks import stack_name, strangers
from napari_sparsessp.ui.napari_compat import layer_key


def image(name, path="", **about):
    metadata = FilePlace(path).metadata() if path else {}
    metadata = {KEY: about} if about else metadata
    return Image(np.zeros((2, 4, 4)), name=name, metadata=metadata)


def names(layers, source):
    return {one.name for one in strangers(SimpleNamespace(layers=layers), source)}


def test_a_stain_belongs_to_the_nearest_stack():
    a, b = image("bright-field", "/x/one_bf.tif"), image("FOV 2", "/x/two_bf.tif")
    inside = image("one · DNA", "/x/one_bf.tif")
    beside, far = image("DAPI", "/x/two_dapi.tif"), image("Golgi", "/y/golgi.tif")
    layers = [a, b, inside, beside, far]
    assert names(layers, a) == {"FOV 2", "DAPI"}
    assert names(layers, b) == {"bright-field", "one · DNA"}


def test_channels_beside_stains_are_no_stack_of_their_own():
    a = image("bright-field", "/x/a.tif")
    layers = [a, image("DAPI", "/x/stains.tif"), image("weird", "/x/stains.tif")]
    assert names(layers, a) == set()


def test_what_was_predicted_or_compared_elsewhere_belongs_there():
    a, b, truth = image("first"), image("second"), image("DNA")
    made = image(
        "DNA · predicted",
        role="prediction",
        structure="dna",
        source_id=layer_key(b),
        truth_id=layer_key(truth),
    )
    assert names([a, b, truth, made], a) == {"second", "DNA", "DNA · predicted"}
    assert names([a, b, truth, made], b) == set()


@pytest.mark.parametrize(
    ("name", "path", "called"),
    [
        ("Colony · bright-field", "/x/light.ome.tif", "Colony"),
        ("light.ome", "/x/light.ome.tif", "light"),
        ("made", "", ""),
    ],
)
def test_a_stack_is_called_by_its_file(name, path, called):
    assert stack_name(image(name, path)) == called

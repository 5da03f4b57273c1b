"""A layer is predicted as its file was recorded, unless the user moved or scaled it."""

import numpy as np
import pytest
from napari.layers import Image

from napari_sparsessp.ui.layers.reading import layers_of, read_layer
from napari_sparsessp.volume import Volume

HEIGHTS = (0.0, 1.16, 6.96, 8.12)


def opened():
    """The layer of a stack with a gap, whose place in y and x nobody recorded."""
    volume = Volume(
        np.ones((4, 8, 9)),
        "ZYX",
        (1.16, 0.29, 0.29),
        source="gap.ome.tif",
        plane_z=(HEIGHTS,),
        placed=(True, False, False),
        notes=("planes are not evenly spaced",),
    )
    ((data, attributes, _),) = layers_of(volume)
    return Image(data, **attributes)


def test_heights_places_and_notes_go_through_the_layer():
    volume = read_layer(opened()).volume
    assert volume.plane_z[0] == pytest.approx(HEIGHTS)
    assert volume.placed == (True, False, False)
    assert volume.notes == ("planes are not evenly spaced",)


def test_what_the_user_changed_counts():
    layer = opened()
    layer.translate = (5, 0, 3)
    volume = read_layer(layer).volume
    assert volume.plane_z[0] == pytest.approx(np.add(HEIGHTS, 5))
    assert volume.placed == (True, False, True)
    layer.scale = (2, 0.29, 0.29)
    assert read_layer(layer).volume.plane_z == ()
    assert read_layer(opened(), voxel_size=(1, 1, 1)).volume.plane_z == ()

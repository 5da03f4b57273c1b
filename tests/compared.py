"""What the tests of the Compare dock are made of: stacks, predictions and presses."""

import numpy as np

from napari_sparsessp.metrics import zscore_truth
from napari_sparsessp.ui.layers.metadata import KEY, role_of

CUBES = {"scale": (0.29,) * 3, "units": ("um",) * 3}
RNG = np.random.default_rng(5)
_START = RNG.bit_generator.state


def same_noise():
    """Begin the noise anew: what a test sees does not hang on those before it."""
    RNG.bit_generator.state = _START


def counts(planes=6, height=24, width=32):
    return RNG.gamma(2.0, 40.0, (planes, height, width)).astype(np.float32)


def predicted(truth, noise=0.5):
    z = zscore_truth(truth)
    return (z + noise * RNG.standard_normal(z.shape)).astype(np.float32)


def add_prediction(viewer, source, id_, data, *, model="thin", **more):
    about = {
        "schema_version": 1,
        "role": "prediction",
        "structure": id_,
        "channel": id_,
        "source": source.name,
        "source_id": str(source.unique_id),
        "request": {"model": model},
        "measured_planes": [0, 4],
        "state": "done",
    }
    place = {"scale": (0.29,) * 3, "units": ("um",) * 3, **more}
    return viewer.add_image(
        data,
        name=f"{id_} · predicted",
        blending="additive",
        colormap="#00bfff",
        contrast_limits=(0, 3),
        metadata={KEY: about},
        **place,
    )


def roles(viewer, role):
    return [layer for layer in viewer.layers if role_of(layer) == role]


def press(dock, view):
    dock.form.picker.buttons[view].click()


def choose(dock, structure):
    """Choose a structure in the table, as a click does."""
    table = dock.form.table
    row = [row.id for row in table.rows].index(structure)
    table.setCurrentIndex(table.model().index(row, 0))


def choose_truth(dock, name):
    """Choose a layer, or "none", as truth of the chosen structure by hand."""
    box = dock.form.truth.native("layer")
    box.setCurrentIndex(box.findText(name))
    box.activated.emit(box.currentIndex())

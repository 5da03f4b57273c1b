"""Layers become pairs of volumes, in one space and in units of the truth."""

import numpy as np
import pytest
from napari.layers import Image

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.agreement import agreement
from napari_sparsessp.ui.compare.comparison import pair_of
from napari_sparsessp.ui.layers.metadata import KEY

UM = {"scale": (0.29,) * 3, "units": ("um",) * 3}
PIXELS = {"scale": (2, 1, 1)}


def image(data, about=None, **place):
    metadata = {} if about is None else {KEY: {"role": "prediction", **about}}
    return Image(data, name="truth", metadata=metadata, **place)


def scores(prediction, truth, about, **place):
    found = image(prediction, about, **(PIXELS if "units" not in place else UM))
    pair = pair_of("dna", found, image(truth, **place), None, None)
    return agreement(pair.truth, pair.prediction).scores


@pytest.fixture
def cells():
    return np.random.default_rng(3).gamma(2, 40, (4, 24, 32)).astype(np.float32)


def test_an_image_of_another_program_has_r2_of_one_with_itself(cells):
    for same in (cells, cells + 1000, 0.01 * cells):
        assert scores(same, same, {}, **UM)["r2"] == pytest.approx(1, abs=1e-5)
    ours = {"request": {"model": "thin"}}
    z = (cells - cells.mean()) / cells.std()
    assert scores(z, cells, ours, **UM)["r2"] == pytest.approx(1, abs=1e-5)
    assert scores(cells, cells, ours, **UM)["r2"] < -100, "ours are taken as they are"


@pytest.mark.parametrize("world", [UM, PIXELS], ids=["µm", "pixels"])
def test_a_shift_counts_the_same_by_affine_and_by_translate(cells, world):
    step = world["scale"][1]
    moved = np.roll(cells, -2, axis=1)  # its row 0 is row 2 of the cells
    affine = np.eye(4)
    affine[1, 3] = 2 * step
    ours = {"request": {"model": "thin"}}
    z = (cells - cells.mean()) / cells.std()
    ways = {"translate": (0, 2 * step, 0)}, {"affine": affine}, {}
    by_translate, by_affine, unmoved = (
        scores(z, moved, ours, **world, **way)["pcc"] for way in ways
    )
    assert by_affine == by_translate > 0.8
    assert unmoved < 0.3


def test_a_truth_out_of_the_plane_is_refused_by_name(cells):
    with pytest.raises(InputError, match="'truth' is turned or sheared out"):
        scores(cells, cells, {}, rotate=(0, 30, 0), **UM)

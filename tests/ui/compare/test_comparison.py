"""Layers become pairs of volumes, in one space and in units of the truth."""

import numpy as np
import pytest
from napari.layers import Image

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.agreement import agreement
from napari_sparsessp.ui.compare.comparison import pair_of
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.layers.recorded import keep
from napari_sparsessp.volume import Volume

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


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
def test_a_truth_out_of_the_plane_is_refused_by_name(cells):
    with pytest.raises(InputError, match="'truth' is turned or sheared out"):
        scores(cells, cells, {}, rotate=(0, 30, 0), **UM)


def recorded(data, placed, origin=(0, 0, 0), **changes):
    """A layer as it comes from a file that does or does not know its position."""
    volume = Volume(data, "ZYX", UM["scale"], origin=origin, placed=(placed,) * 3)
    place = {"translate": origin, **UM, **changes}
    return Image(data, name="truth", metadata=keep(volume), **place)


def pcc_of(light, truth, cells):
    z = (cells - cells.mean()) / cells.std()
    place = {**UM, "translate": light.translate}
    found = image(z, {"request": {"model": "thin"}}, **place)
    pair = pair_of("dna", found, truth, light, None)
    return agreement(pair.truth, pair.prediction).scores["pcc"]


def test_a_truth_with_a_stage_position_meets_a_stack_without_one(cells):
    at = (0, 500, 900)
    light, truth = recorded(cells, False), recorded(cells, True, at)
    assert pcc_of(light, truth, cells) == pytest.approx(1, abs=1e-5)
    light, truth = recorded(cells, True, at), recorded(cells, False)
    assert pcc_of(light, truth, cells) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("placed", [True, False])
@pytest.mark.parametrize("way", ["translate", "affine"])
def test_where_the_user_moves_a_layer_is_never_overruled(cells, placed, way):
    """Also of files that know no position."""
    shift, affine = (0, 2 * 0.29, 0), np.eye(4)
    affine[1, 3] = shift[1]
    by_hand = {way: shift if way == "translate" else affine}
    rolled = np.roll(cells, -2, axis=1)
    light = recorded(cells, placed)
    assert pcc_of(light, recorded(rolled, placed, **by_hand), cells) > 0.8
    assert pcc_of(light, Image(rolled, **UM, **by_hand), cells) > 0.8
    back = {"translate": (0, -2 * 0.29, 0)}
    truth = recorded(rolled, placed)
    assert pcc_of(recorded(cells, placed, **back), truth, cells) > 0.8

"""Regions and lines: where they lie on a prediction, and what is measured there."""

import csv
import io

import numpy as np
import pytest
from napari.layers import Image, Labels, Shapes

from napari_sparsessp.errors import InputError
from napari_sparsessp.ui.compare.regions import drawn_in, measure
from napari_sparsessp.ui.layers.reading import read_layer
from napari_sparsessp.ui.tasks import TaskProgress
from napari_sparsessp.volume import Volume

SIZE = (0.5, 0.25, 0.25)
UM = {"scale": SIZE, "units": ("um",) * 3}
RAMP = np.broadcast_to(np.arange(40.0), (4, 30, 40)).astype(np.float32)  # along x
TRUTH = 100 + 10 * RAMP


def measured(layer, plane=1, truth=TRUTH, **place):
    reading = read_layer(Image(RAMP, **{**UM, **place}))
    found = Volume(RAMP, "ZYX", SIZE)
    true = None if truth is None else Volume(truth, "ZYX", SIZE)
    if truth is not None:  # a perfect prediction, z-scored as ours are
        found = found.with_(array=(truth - truth.mean()) / truth.std())
    find = drawn_in(layer, reading, plane, None)
    return measure([("dna", found, true)], find, "µm", TaskProgress())


def labels(shape=(4, 30, 40), where=np.s_[2, 5:15, 10:20]):
    numbers = np.zeros(shape, np.uint8)
    numbers[where] = 7
    return numbers


@pytest.mark.parametrize(
    ("layer", "plane"),
    [
        (Labels(labels(), **UM), 0),
        (Labels(labels((30, 40), np.s_[5:15, 10:20]), scale=SIZE[1:],
                units=UM["units"][1:]), 3),
        (Labels(labels((4, 15, 20), np.s_[2, 2:7, 5:10]), scale=(0.5, 0.5, 0.5),
                translate=(0, 0.375, 0.125), units=UM["units"]), 0),
        (Shapes([[[2, 5, 10], [2, 5, 19], [2, 14, 19], [2, 14, 10]]],
                shape_type="polygon", **UM), 0),
    ],
    ids=["labels", "labels without z", "coarser labels", "a polygon"],
)  # fmt: skip
def test_a_region_has_its_area_and_the_intensities_of_its_voxels(layer, plane):
    (row,) = measured(layer, plane).rows
    assert (row.structure, row.unit) == ("dna", "µm²")
    assert row.size == pytest.approx(100 * 0.25**2)
    assert row.true_mean == pytest.approx(100 + 10 * 14.5)
    assert row.true_sum == pytest.approx(100 * row.true_mean)
    assert row.predicted_mean == pytest.approx(row.true_mean, rel=1e-5)
    assert row.predicted_sum == pytest.approx(row.true_sum, rel=1e-5)


def test_a_region_in_several_planes_is_a_volume_and_the_place_of_both_counts():
    deep = Labels(labels(where=np.s_[1:3, 5:15, 10:20]), **UM)
    (row,) = measured(deep).rows
    assert row.unit == "µm³"
    assert row.size == pytest.approx(200 * np.prod(SIZE))
    affine = np.eye(4)
    affine[2, 3] = 1.0  # four pixels along x
    moved = Labels(labels(), affine=affine, **UM)
    (row,) = measured(moved).rows
    assert row.true_mean == pytest.approx(100 + 10 * 18.5)
    (row,) = measured(moved, affine=affine).rows
    assert row.true_mean == pytest.approx(100 + 10 * 14.5)


def test_without_a_truth_a_prediction_is_measured_as_it_is():
    (row,) = measured(Labels(labels(), **UM), truth=None).rows
    assert row.predicted_mean == pytest.approx(14.5)
    assert (row.true_mean, row.true_sum) == (None, None)


def test_an_ellipse_has_the_area_of_an_ellipse():
    corners = [[0, 5, 10], [0, 5, 30], [0, 25, 30], [0, 25, 10]]
    (row,) = measured(Shapes([corners], shape_type="ellipse", **UM)).rows
    assert row.size == pytest.approx(np.pi * 10 * 10 * 0.25**2, rel=0.03)


def test_a_line_gives_intensities_over_micrometres():
    corners = [[3, 10, 5], [3, 10, 25], [3, 20, 25]]
    line = Shapes([corners], shape_type="path", edge_width=3, **UM)
    (profile,) = measured(line).profiles
    assert profile.distance[[0, 20, -1]] == pytest.approx([0, 5, 7.5])
    assert profile.true[:21] == pytest.approx(100 + 10 * np.arange(5, 26))
    assert profile.true[21:] == pytest.approx(np.full(11, 350))
    assert profile.predicted == pytest.approx(profile.true, rel=1e-5)


def test_tables_are_written_as_csv():
    line = [[1, 0, 0], [1, 0, 9]]
    square = [[1, 0, 0], [1, 0, 9], [1, 9, 9], [1, 9, 0]]
    both = Shapes([line, square], shape_type=["line", "rectangle"], **UM)
    result = measured(both)
    (row,) = csv.DictReader(io.StringIO(result.csv("regions")))
    assert (row["region"], row["structure"], row["unit"]) == ("2", "dna", "µm²")
    assert float(row["true_sum"]) == pytest.approx(result.rows[0].true_sum)
    points = list(csv.DictReader(io.StringIO(result.csv("profile"))))
    assert [float(one["true"]) for one in points] == pytest.approx(
        100 + 10 * np.arange(10)
    )


def test_nothing_drawn_on_the_prediction_is_said():
    far = Labels(labels(), translate=(0, 900, 0), **UM)
    with pytest.raises(InputError, match="lies on the prediction; draw one there"):
        measured(far)

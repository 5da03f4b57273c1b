"""Cells of the grid, without a viewer."""

import pytest

from napari_sparsessp.ui.layouts.arrangement import arrange, best_grid, best_shape


def groups(order, stride):
    return [order[i : i + stride] for i in range(0, len(order), stride)]


def test_single_layers_need_no_fillers():
    assert arrange([["tl"], ["truth"], ["pred"]], []) == (["tl", "truth", "pred"], 1)


def test_smaller_cells_are_filled_up_with_hidden_layers():
    order, stride = arrange([["tl"], ["t1", "t2"], ["p1", "p2"]], ["h1", "h2", "h3"])
    first, second, third, *rest = groups(order, stride)
    assert (first[-1], second, third) == ("tl", ["t1", "t2"], ["p1", "p2"])
    assert set(first[:-1]) < {"h1", "h2", "h3"}
    assert sorted(sum([first, *rest], [])) == ["h1", "h2", "h3", "tl"]


def test_too_few_fillers_give_no_order():
    assert arrange([["tl"], ["t1", "t2", "t3"]], ["h1"]) is None


@pytest.mark.parametrize(
    ("cells", "aspect", "room", "shape"),
    [
        (3, 1.0, (600, 900), (1, 3)),
        (3, 1.0, (800, 700), (1, 3)),
        (3, 2.0, (900, 600), (3, 1)),  # a column is clearly larger
        (4, 1.0, (800, 900), (2, 2)),  # a row would leave slits
        (4, 1.0, (400, 1600), (1, 4)),
    ],
)
def test_cells_lie_as_they_are_largest(cells, aspect, room, shape):
    assert best_shape(cells, aspect, room) == shape


def test_a_gallery_has_the_rows_and_columns_that_show_most():
    assert best_grid(13, 1.0, (900, 1200)) == (3, 5)
    assert best_grid(1, 1.0, (900, 1200)) == (1, 1)

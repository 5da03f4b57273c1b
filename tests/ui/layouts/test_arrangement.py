"""Cells of the grid, without a viewer."""

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


def test_cells_lie_side_by_side_unless_a_column_is_clearly_larger():
    assert best_shape(3, 1.0, (600, 900)) == (1, 3)
    assert best_shape(3, 1.0, (800, 700)) == (1, 3)
    assert best_shape(3, 2.0, (900, 600)) == (3, 1)


def test_four_cells_make_a_square_where_a_row_would_leave_slits():
    assert best_shape(4, 1.0, (800, 900)) == (2, 2)
    assert best_shape(4, 1.0, (400, 1600)) == (1, 4)


def test_a_gallery_has_the_rows_and_columns_that_show_most():
    assert best_grid(13, 1.0, (900, 1200)) == (3, 5)
    assert best_grid(1, 1.0, (900, 1200)) == (1, 1)

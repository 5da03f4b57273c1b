"""Truth and prediction in one picture."""

import numpy as np
import pytest

from napari_sparsessp.ui.compare.view import Composed, checkerboard, swipe

TRUTH = np.zeros((4, 12, 20), np.float32)
PREDICTION = np.ones((4, 12, 20), np.float32)


@pytest.mark.parametrize(("share", "left"), [(0.0, 0), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_truth_is_left_of_the_border(share, left):
    plane = Composed(TRUTH, PREDICTION, swipe(share))[2]
    assert plane.shape == (12, 20)
    assert (plane[:, :left] == 0).all()
    assert (plane[:, left:] == 1).all()


def test_fields_take_turns_and_the_first_one_is_truth():
    plane = Composed(TRUTH, PREDICTION, checkerboard(4))[0]
    assert plane[0, 0] == 0
    assert [plane[0, x] for x in (3, 4, 7, 8)] == [0, 1, 1, 0]
    assert [plane[y, 0] for y in (3, 4, 7, 8)] == [0, 1, 1, 0]


def test_any_cut_is_the_same_as_a_cut_of_the_whole():
    rng = np.random.default_rng(0)
    truth, found = rng.random((2, 4, 12, 20)).astype(np.float32)
    composed = Composed(truth, found, checkerboard(3.5))
    whole = np.asarray(composed)
    assert whole.shape == composed.shape == (4, 12, 20)
    for cut in (np.s_[1], np.s_[:, 5], np.s_[..., 7], np.s_[1:3, ::2, 4:9]):
        np.testing.assert_array_equal(composed[cut], whole[cut])


def test_a_border_that_moves_copies_nothing():
    composed = Composed(TRUTH, PREDICTION, swipe(0.5))
    composed.pattern = swipe(0.0)
    assert composed[0].min() == 1
    PREDICTION[0, 0, 0] = 7  # a prediction that goes on filling up is seen
    try:
        assert composed[0][0, 0] == 7
    finally:
        PREDICTION[0, 0, 0] = 1

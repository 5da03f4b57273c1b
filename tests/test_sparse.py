"""Measured planes lie where they were measured, whatever the ratio and the phase."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sparsessp.errors import InputError
from napari_sparsessp.sparse import MAPPINGS, SparseView

ratios = st.floats(1, 12, allow_nan=False)
counts = st.integers(1, 40)
steps = st.floats(0.05, 5)


@st.composite
def views(draw):
    kind = draw(st.sampled_from(["ratio", "voxel", "simulate"]))
    n = draw(counts)
    if kind == "ratio":
        return SparseView.from_ratio(n, draw(ratios))
    if kind == "voxel":
        return SparseView.from_voxel_size(n, draw(steps), draw(steps))
    ratio = draw(st.integers(1, 9))
    phase = draw(st.integers(0, min(ratio, n) - 1))
    return SparseView.simulate(n, ratio, phase, draw(st.sampled_from([1.0, 0.5, 1.7])))


@given(views(), st.sampled_from(MAPPINGS))
def test_weights_are_shares_of_neighbouring_planes_and_to_dense_applies_them(
    view, mapping
):
    weights = view.weights(mapping)
    assert weights.shape == (view.depth, len(view.planes))
    assert weights.dtype == np.float32
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert ((weights > 0).sum(1) <= (2 if mapping == "linear" else 1)).all()
    planes = np.random.default_rng(view.depth).normal(size=(len(view.planes), 2, 3))
    dense = view.to_dense(planes, mapping)
    assert dense.dtype == np.float32
    np.testing.assert_allclose(dense, np.tensordot(weights, planes, 1), atol=1e-5)


@given(views())
def test_linear_is_exact_for_a_linear_object_between_measured_planes(view):
    positions = np.array(view.positions)
    dense = view.to_dense(positions, "linear")
    grid = np.clip(np.arange(view.depth), positions[0], positions[-1])
    np.testing.assert_allclose(dense, grid, rtol=1e-5, atol=1e-4)


@given(views())
def test_distance_and_nearest_are_of_the_closest_plane(view):
    grid, positions = np.arange(view.depth), np.array(view.positions)
    away = np.abs(grid[:, None] - positions).min(1)
    for taken in (grid - view.distance(), view.to_dense(positions, "nearest")):
        np.testing.assert_allclose(np.abs(grid - taken), away, atol=1e-3)
        assert np.abs(taken[:, None] - positions).min(1).max() < 1e-3


@given(views())
def test_measured_planes_are_dense_indices_each_once(view):
    measured = view.measured_planes
    assert measured == tuple(sorted(set(measured)))
    assert measured[0] >= 0
    assert measured[-1] < view.depth


@given(counts, st.integers(1, 9))
def test_hold_is_the_published_nearest(n, ratio):
    view = SparseView.from_ratio(n, ratio)
    dense = view.to_dense(np.arange(n), "hold")
    np.testing.assert_array_equal(dense, np.arange(n * ratio) // ratio)


@given(st.integers(1, 60), st.integers(1, 9), st.data())
def test_simulated_views_agree_with_a_real_acquisition(n, ratio, data):
    phase = data.draw(st.integers(0, min(ratio, n) - 1))
    view = SparseView.simulate(n, ratio, phase)
    assert view.planes == tuple(range(n))[phase::ratio]
    assert view.positions == view.planes
    assert view.depth == n
    assert view.ratio == ratio
    real = SparseView.from_ratio(len(view.planes), ratio)
    assert [phase + z for z in real.positions] == list(view.positions)


def test_linear_sits_on_true_positions_without_a_half_plane_shift():
    weights = SparseView.from_ratio(4, 8).weights("linear")
    assert weights[8, 1] == 1
    assert weights[4, 0] == weights[4, 1] == 0.5
    np.testing.assert_array_equal(weights[25:, 3], 1)


def test_ties_go_down():
    view = SparseView.from_ratio(3, 4)
    dense = view.to_dense(np.arange(3), "nearest")
    np.testing.assert_array_equal(dense, [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2])
    np.testing.assert_array_equal(view.distance()[:5], [0, 1, 2, -1, 0])


def test_rounding_of_steps_does_not_move_planes():
    view = SparseView.from_voxel_size(8, 1.16, 0.29)
    assert view.depth == 32
    assert view.measured_planes == tuple(range(0, 32, 4))
    np.testing.assert_array_equal(
        view.weights("hold"), SparseView.from_ratio(8, 4).weights("hold")
    )


def test_fractional_ratios_and_finer_stacks():
    view = SparseView.from_ratio(5, 2.5)
    assert view.depth == 13
    assert view.positions == (0, 2.5, 5, 7.5, 10)
    fine = SparseView.from_voxel_size(10, 0.145, 0.29)
    assert fine.ratio == pytest.approx(0.5)
    assert fine.depth == 5
    np.testing.assert_array_equal(
        fine.to_dense(np.arange(10), "linear"), [0, 2, 4, 6, 8]
    )
    assert SparseView.from_voxel_size(1, 0.1, 0.29).depth == 1


def test_simulation_on_a_coarser_grid_keeps_positions_true():
    view = SparseView.simulate(9, 4, step=2.0)
    assert view.planes == (0, 4, 8)
    assert view.positions == (0, 8, 16)
    assert (view.depth, view.ratio) == (18, 8)


VIEW = SparseView.from_ratio(3, 2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        *((lambda r=ratio, of=of: of(5, r), "at least 1")
          for ratio in (0, 0.99, -3, float("nan"), float("inf"))
          for of in (SparseView.from_ratio, SparseView.simulate)),
        (lambda: SparseView.simulate(8, 1.5), "whole number"),
        (lambda: SparseView.simulate(8, 4, phase=4), "phase"),
        (lambda: SparseView.from_ratio(0, 2), "at least one plane"),
        (lambda: SparseView.from_voxel_size(3, float("nan"), 0.29), "z step"),
        (lambda: SparseView((0, 1), (4.0, 2.0), 8, 2), "ascend"),
        (lambda: VIEW.weights("spline"), "mapping"),
        (lambda: VIEW.to_dense(np.zeros((2, 4, 4)), "hold"), "2 planes"),
    ],
)  # fmt: skip
def test_impossible_views_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()

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
        ratio = draw(ratios)
        return SparseView.from_ratio(n, ratio, draw(st.floats(0, 0.99)) * ratio)
    if kind == "voxel":
        return SparseView.from_voxel_size(n, draw(steps), draw(steps))
    ratio = draw(st.integers(1, 9))
    phase = draw(st.integers(0, min(ratio, n) - 1))
    return SparseView.simulate(n, ratio, phase, draw(st.sampled_from([1.0, 0.5, 1.7])))


@given(views(), st.sampled_from(MAPPINGS))
def test_weights_are_shares_of_neighbouring_planes(view, mapping):
    weights = view.weights(mapping)
    assert weights.shape == (view.depth, len(view.planes))
    assert weights.dtype == np.float32
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert ((weights > 0).sum(1) <= (2 if mapping == "linear" else 1)).all()


@given(views(), st.sampled_from(MAPPINGS), st.integers(0, 2**16))
def test_to_dense_is_the_weights_applied(view, mapping, seed):
    planes = np.random.default_rng(seed).normal(size=(len(view.planes), 2, 3))
    dense = view.to_dense(planes, mapping)
    assert dense.dtype == np.float32
    expected = np.tensordot(view.weights(mapping), planes, 1)
    np.testing.assert_allclose(dense, expected, atol=1e-5)


@given(views())
def test_linear_is_exact_for_a_linear_object_between_measured_planes(view):
    positions = np.array(view.positions)
    dense = view.to_dense(positions, "linear")
    grid = np.clip(np.arange(view.depth), positions[0], positions[-1])
    np.testing.assert_allclose(dense, grid, rtol=1e-5, atol=1e-4)


@given(views())
def test_distance_is_signed_and_to_the_nearest(view):
    distance = view.distance()
    grid = np.arange(view.depth)[:, None]
    nearest = np.abs(grid - np.array(view.positions)).min(1)
    np.testing.assert_allclose(np.abs(distance), nearest, atol=1e-3)
    found = np.arange(view.depth) - distance
    assert np.abs(found[:, None] - np.array(view.positions)).min(1).max() < 1e-3


@given(views())
def test_nearest_takes_the_closest_plane(view):
    taken = view.to_dense(np.array(view.positions), "nearest")
    expected = np.abs(np.arange(view.depth)[:, None] - np.array(view.positions)).min(1)
    offset = np.abs(np.arange(view.depth) - taken)
    np.testing.assert_allclose(offset, expected, atol=1e-3)


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
    real = SparseView.from_ratio(len(view.planes), ratio, phase)
    assert real.positions == view.positions


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


def test_fractional_ratios_phases_and_finer_stacks():
    view = SparseView.from_ratio(5, 2.5, phase=0.5)
    assert view.depth == 13
    assert view.positions == (0.5, 3.0, 5.5, 8.0, 10.5)
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


@pytest.mark.parametrize("ratio", [0, 0.99, -3, float("nan"), float("inf")])
def test_ratios_below_one_are_refused(ratio):
    for make in (SparseView.from_ratio, SparseView.simulate):
        with pytest.raises(InputError, match="at least 1"):
            make(5, ratio)


def test_other_impossible_views_are_refused():
    with pytest.raises(InputError, match="whole number"):
        SparseView.simulate(8, 1.5)
    with pytest.raises(InputError, match="phase"):
        SparseView.simulate(8, 4, phase=4)
    with pytest.raises(InputError, match="phase"):
        SparseView.from_ratio(8, 4, phase=-1)
    with pytest.raises(InputError, match="no plane"):
        SparseView.from_ratio(0, 2)
    with pytest.raises(InputError, match="z step"):
        SparseView.from_voxel_size(3, float("nan"), 0.29)
    with pytest.raises(InputError, match="mapping"):
        SparseView.from_ratio(3, 2).weights("spline")
    with pytest.raises(InputError, match="2 planes"):
        SparseView.from_ratio(3, 2).to_dense(np.zeros((2, 4, 4)), "hold")

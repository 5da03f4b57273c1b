"""A dense prediction in the place of a truth: units, scores, and what is undefined."""

import numpy as np
import pytest

from napari_sparsessp import metrics
from napari_sparsessp.evaluation.dense_reference import DenseReference
from napari_sparsessp.volume import Volume

CUBE = (0.29, 0.29, 0.29)


def _prediction(seed, scale=3.0, shift=2.0):
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=(2, 4, 9, 9)) * scale + shift).astype(np.float32)
    return Volume(values, "CZYX", CUBE, ("dna", "nucleolus"))


def test_r2_is_that_of_the_prediction_as_it_is():
    dense, sparse = _prediction(0), _prediction(0)
    sparse.array[:] += np.random.default_rng(1).normal(size=sparse.shape)
    expected = metrics.r2(sparse.array[1].copy(), dense.array[1].copy())
    reference = DenseReference(dense)
    reference.rescale(sparse)
    scores = reference.scores(sparse)["nucleolus"]
    assert scores["r2"] == pytest.approx(expected, abs=1e-5)
    assert len(scores["r2_per_plane"]) == 4


def test_the_dense_prediction_agrees_with_itself():
    reference = DenseReference(_prediction(0))
    scores = reference.scores(reference.volume)["dna"]
    assert scores["r2"] == 1
    assert scores["mse"] == 0
    assert reference.stacks["dna"].mean() == pytest.approx(0, abs=1e-5)
    assert reference.stacks["dna"].std() == pytest.approx(1, abs=1e-5)


def test_a_constant_prediction_has_no_r2():
    constant = Volume(np.full((1, 3, 5, 5), 7.0, np.float32), "CZYX", CUBE, ("dna",))
    reference = DenseReference(constant)
    assert reference.scores(constant)["dna"]["r2"] is None


def test_masked_voxels_do_not_count():
    dense = _prediction(0)
    dense.array[:, 0] = np.nan
    reference = DenseReference(dense)
    scores = reference.scores(dense)["dna"]
    assert scores["r2"] == 1
    assert scores["r2_per_plane"][0] is None

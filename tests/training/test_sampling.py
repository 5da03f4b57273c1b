"""Batches follow from seed and step, and no structure is rarer than another."""

from collections import Counter
from contextlib import closing

import numpy as np
import pytest
import torch

from napari_sparsessp.training.patches import Pair, batches, choose, cut_batch


def stack(seed):
    return np.random.default_rng(seed).normal(size=(1, 8, 16, 16)).astype(np.float16)


def test_batches_are_the_same_from_any_step_on(pair, plain):
    """However many threads cut them; step 2 needs no steps before."""
    with closing(batches([pair], plain, 2, seed=4)) as stream:
        first = [next(stream) for _ in range(4)]
    with closing(batches([pair], plain, 2, seed=4, step=2, workers=3)) as stream:
        later = [next(stream) for _ in range(2)]
    for one, other in zip(first[2:], later, strict=True):
        assert torch.equal(one.source, other.source)
        assert torch.equal(one.target, other.target)
    assert not torch.equal(first[0].source, first[1].source)


def test_a_rare_structure_is_drawn_as_often_as_a_frequent_one():
    common = [Pair(stack(k), stack(k), (0,)) for k in range(9)]
    rare = [Pair(stack(9), stack(9), (2,))]
    drawn = Counter(
        choose(common + rare, np.random.default_rng(k))[0] == 9 for k in range(400)
    )
    assert 150 < drawn[True] < 250


def test_each_sample_has_its_own_task(plain):
    pairs = [Pair(stack(0), stack(0), (1,)), Pair(stack(1), stack(1), (4,))]
    batch = cut_batch(pairs, plain, 8, seed=0, step=0)
    assert batch.target.shape == (8, 1, 8, 16, 16)
    assert set(batch.tasks.tolist()) == {1, 4}


def test_structures_without_a_label_have_no_weight(plain):
    pairs = [Pair(stack(0), stack(0), (1,)), Pair(stack(1), [*stack(1)] * 2, (0, 2))]
    batch = cut_batch(pairs, plain, 8, seed=0, step=0, outputs=3)
    assert batch.tasks is None
    weights = {tuple(row.amax((1, 2, 3)).tolist()) for row in batch.weight}
    assert weights == {(0, 1, 0), (1, 0, 1)}


def test_what_goes_wrong_on_the_thread_is_told(plain):
    class Broken:
        shape = (1, 8, 16, 16)

        def __len__(self):
            return 1

        def __getitem__(self, index):
            raise OSError("the disk is gone")

    pairs = [Pair(Broken(), stack(0))]
    with (
        closing(batches(pairs, plain, 1, seed=0)) as stream,
        pytest.raises(OSError, match="disk"),
    ):
        next(stream)

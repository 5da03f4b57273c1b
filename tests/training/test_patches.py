"""Patches as the network will meet them."""

from collections import Counter
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sparsessp.networks import build_network
from napari_sparsessp.tasks import Cancelled, no_progress
from napari_sparsessp.training.checkpoints import RunFolder, saved_step
from napari_sparsessp.training.loop import TrainingPlan, train
from napari_sparsessp.training.patches import (
    Pair,
    PatchRecipe,
    RenewedPairs,
    batches,
    choose,
    cut_batch,
    cut_patch,
)

WILD = PatchRecipe(depth=8, height=16, width=16)


@pytest.mark.parametrize("turns", ["dihedral", "flips", "none"])
def test_input_and_target_stay_in_register(pair, plain, turns):
    """At ratio 1 without noise the input is the target, however it is turned."""
    for seed in range(10):
        recipe = replace(plain, turns=turns)
        patch = cut_patch(pair, recipe, np.random.default_rng(seed))
        torch.testing.assert_close(patch.source[0], patch.target[0])
        assert patch.source[1].abs().max() == 0


def test_all_ratios_and_phases_occur(pair):
    """The second channel shows how far the measured planes are."""
    reach = set()
    for seed in range(60):
        patch = cut_patch(pair, replace(WILD, thin=0), np.random.default_rng(seed))
        reach.add(float(patch.source[1].abs().max()))
    assert 0.0 in reach
    assert max(reach) >= 1.0
    assert len(reach) >= 4


def test_the_paper_measures_every_rth_plane_of_the_flipped_patch(pair, plain):
    """Phase 0 of what the network sees, mirrored in z or not."""
    recipe = replace(
        plain, turns="flips", ratios=(4,), random_phase=False, interpolation="hold"
    )
    for seed in range(8):
        patch = cut_patch(pair, recipe, np.random.default_rng(seed))
        for plane in range(8):
            expected = patch.target[0, plane // 4 * 4]
            torch.testing.assert_close(patch.source[0, plane], expected)


def test_a_network_of_a_ratio_gets_its_planes(pair, plain):
    recipe = replace(plain, ratios=(4,), every=4, inputs=1, random_phase=False)
    patch = cut_patch(pair, recipe, np.random.default_rng(3))
    assert patch.source.shape == (1, 2, 16, 16)
    torch.testing.assert_close(patch.source[0], patch.target[0, ::4])


def test_a_thin_stack_lies_in_the_middle_and_only_its_planes_count(plain):
    look = np.arange(5, dtype=np.float32)[None, :, None, None] * np.ones((20, 20))
    patch = cut_patch(Pair(look, look), plain, np.random.default_rng(0))
    assert patch.weight[0, :, 0, 0].tolist() == [0, 1, 1, 1, 1, 1, 0, 0]
    assert patch.source[0, :, 0, 0].tolist() == [0, 0, 1, 2, 3, 4, 4, 4]
    assert (patch.source[1, :, 0, 0] * 4).tolist() == [-1, 0, 0, 0, 0, 0, 1, 2]


def test_masks_and_projections_go_along(plain):
    look = np.random.default_rng(0).normal(size=(1, 8, 16, 16)).astype(np.float32)
    mask = np.zeros((1, 16, 16), bool)
    mask[:, :4] = True
    flat = look.max(1)
    one = Pair(look, [look[0], flat], (3, 5), [mask, None])
    patch = cut_patch(one, replace(plain, turns="none"), np.random.default_rng(0))
    assert patch.labels == (3, 5)
    assert patch.projected.tolist() == [False, True]
    assert patch.weight[0].sum() == 8 * 4 * 16
    assert patch.weight[1].min() == 1
    for plane in patch.target[1]:
        torch.testing.assert_close(plane, torch.from_numpy(flat[0]))


def test_planes_without_a_truth_do_not_count(plain):
    look = np.random.default_rng(0).normal(size=(1, 8, 16, 16)).astype(np.float32)
    target = look[0].copy()
    target[2] = np.nan
    recipe = replace(plain, turns="none")
    patch = cut_patch(Pair(look, [target]), recipe, np.random.default_rng(0))
    assert patch.target.isfinite().all()
    assert patch.weight[0].amax((1, 2)).tolist() == [1, 1, 0, 1, 1, 1, 1, 1]


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


def a_pair(seed):
    look = np.random.default_rng(seed).normal(size=(1, 12, 24, 24)).astype(np.float16)
    return Pair(look, np.concatenate([look, -look]), name=str(seed))


def changing(step, ended):
    """Another stack after every third step."""
    return [a_pair(10 + step // 3)]


def test_a_batch_is_cut_from_the_stacks_of_its_step(plain):
    with closing(batches(RenewedPairs([], changing), plain, 2, seed=4)) as stream:
        found = [next(stream) for _ in range(8)]
    for step, batch in enumerate(found):
        alone = cut_batch([a_pair(10 + step // 3)], plain, 2, 4, step)
        assert torch.equal(batch.source, alone.source)


def test_going_on_with_changing_stacks_is_as_if_nothing_had_happened(
    plain, tiny, tmp_path
):
    def run(name, progress=no_progress):
        torch.manual_seed(0)
        pairs = RenewedPairs([], changing, saved_step(tmp_path / name))
        plan = TrainingPlan(0, 12, batch=2, precision="fp32", save_steps=100)
        train(build_network(tiny), pairs, plain, plan, tmp_path / name,
              progress=progress)  # fmt: skip

    def cancel(done, total=None, what=""):
        if done >= 0.4:
            raise Cancelled

    run("whole")
    with pytest.raises(Cancelled):
        run("halves", cancel)
    assert 0 < saved_step(tmp_path / "halves") <= 5
    run("halves")
    weights = [RunFolder(tmp_path / name).averaged() for name in ("whole", "halves")]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name])


def test_stopping_does_not_wait_for_a_stack(plain, tiny, tmp_path):
    """One that will never come: the state is saved at once."""

    def stuck(step, ended):
        if step >= 3:
            ended.wait()
            raise Cancelled
        return [a_pair(1)]

    calls = []
    plan = TrainingPlan(0, 12, batch=1, precision="fp32", save_steps=100)
    torch.manual_seed(0)

    def cancel(done, total=None, what=""):
        calls.append(done)
        if calls.count(3 / 12) > 1:  # the first is after step 3
            raise Cancelled

    pairs = RenewedPairs([], stuck)
    with pytest.raises(Cancelled):
        train(build_network(tiny), pairs, plain, plan, tmp_path, progress=cancel)
    assert saved_step(tmp_path) == 3
    assert (tmp_path / "state.pt").exists()


def test_the_step_of_a_damaged_or_missing_state_is_the_first(tmp_path):
    assert saved_step(tmp_path) == 0
    (tmp_path / "state.pt").write_bytes(b"no state")
    assert saved_step(tmp_path) == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_while_stacks_are_made_ends_the_batches(plain, workers):
    def broken(step, ended):
        if step > 1:
            raise OSError("the disk is full")
        return [a_pair(1)]

    pairs = RenewedPairs([], broken)
    with closing(batches(pairs, plain, 1, seed=0, workers=workers)) as stream:
        next(stream), next(stream)
        with pytest.raises(OSError, match="disk is full"):
            next(stream)

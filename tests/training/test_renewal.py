"""Stacks that change while a training goes on."""

import threading
from contextlib import closing

import numpy as np
import pytest
import torch

from napari_sparsessp.networks import build_network
from napari_sparsessp.tasks import Cancelled, no_progress
from napari_sparsessp.training.checkpoints import RunFolder, saved_step
from napari_sparsessp.training.loop import TrainingPlan, train
from napari_sparsessp.training.patches import Pair, RenewedPairs, batches, cut_batch


def a_pair(seed):
    look = np.random.default_rng(seed).normal(size=(1, 12, 24, 24)).astype(np.float16)
    return Pair(look, np.concatenate([look, -look]), name=str(seed))


def changing(step, ended):
    """Another stack after every third step."""
    return [a_pair(10 + step // 3)]


def test_fixed_stacks_stay_beside_those_that_change():
    pairs = RenewedPairs([a_pair(0)], changing, step=3)
    assert [pair.name for pair in pairs] == ["0", "11"]
    assert [pair.name for pair in pairs.at(9, threading.Event())] == ["0", "13"]
    assert (len(pairs), pairs[-1].name, pairs[:1][0].name) == (2, "13", "0")


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
            waiting.set()
            ended.wait()
            raise Cancelled
        return [a_pair(1)]

    waiting = threading.Event()
    plan = TrainingPlan(0, 12, batch=1, precision="fp32", save_steps=100)
    torch.manual_seed(0)

    def cancel(done, total=None, what=""):
        if waiting.is_set():
            raise Cancelled

    pairs = RenewedPairs([], stuck)
    with pytest.raises(Cancelled):
        train(build_network(tiny), pairs, plain, plan, tmp_path, progress=cancel)
    assert saved_step(tmp_path) <= 3
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

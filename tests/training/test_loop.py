"""A loop that learns, survives a kill bit for bit, and says what happens."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from napari_sparsessp.errors import InputError, PredictionError
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.training.checkpoints import RunFolder
from napari_sparsessp.training.loop import (
    TrainingPlan,
    learning_rate,
    train,
    update_norms,
)
from napari_sparsessp.training.patches import Batch


def plan(steps, **changes):
    values = {"batch": 2, "learning_rate": 4e-3, "warm_up": 0.1, "precision": "fp32"}
    return TrainingPlan(0, steps, **{**values, "save_steps": 1000, **changes})


def network(config):
    torch.manual_seed(0)
    return build_network(config)


def state(folder):
    return torch.load(folder / "state.pt", weights_only=True)


def same(one, other):
    """Whether two nested states are equal, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return all(map(same, one, other))
    return one == other


def test_learning_rate_warms_up_and_falls_to_zero():
    one = TrainingPlan(minutes=1, learning_rate=1.0, warm_up=0.1)
    assert learning_rate(one, 0.0) < 0.05
    assert learning_rate(one, 0.1) == pytest.approx(1.0)
    assert learning_rate(one, 0.55) == pytest.approx(0.5)
    assert learning_rate(one, 1.0) == pytest.approx(0.0)
    paper = TrainingPlan(1, learning_rate=1.0, warm_up=0, schedule="constant")
    assert {learning_rate(paper, p) for p in (0.0, 0.5, 1.0)} == {1.0}


def test_training_learns_and_keeps_the_best(pair, plain, tiny, tmp_path):
    """Falling loss; the best state is that with the largest R², not the last."""
    scores = iter([0.1, 0.5, 0.2, 0.3])
    train(
        network(tiny), [pair], plain, plan(160, save_steps=40), tmp_path,
        validate=lambda network: {"r2": next(scores)},
    )  # fmt: skip
    log = RunFolder(tmp_path).entries()
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]
    assert [one["r2"] for one in log if "r2" in one] == [0.1, 0.5, 0.2, 0.3]
    best = RunFolder(tmp_path).best()
    assert (best["step"], best["r2"]) == (80, 0.5)


@pytest.mark.parametrize(
    "config",
    [
        {"conditioning": "multihead", "heads": "decoder"},
        {"conditioning": "repmode", "backbone": "plain"},
        {"conditioning": "multinet"},
        {"topology": "2d", "conditioning": "dodnet", "ratio": 2},
        {"topology": "2to3d", "mapping": "postfix", "conditioning": "tsn", "ratio": 2},
    ],
    ids=lambda config: "-".join(map(str, config.values())),
)
def test_every_kind_of_network_learns(config, pair, plain, tmp_path):
    """A few steps move the weights; the averaged ones come along."""
    one = NetworkConfig.model_validate(
        {
            "backbone": "dod", "outputs": 2, "depth": 8, "encoder_widths": (4, 8),
            "encoder_blocks": (1, 1), "decoder_widths": (4,), "folded_width": 8,
            "groups": 2, **config,
        }
    )  # fmt: skip
    recipe = replace(plain, inputs=1, every=one.ratio, ratios=(one.ratio,))
    net = network(one)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    train(net, [pair], recipe, plan(4, batch=8), tmp_path)
    moved = [not torch.equal(before[k], v) for k, v in net.state_dict().items()]
    assert sum(moved) > len(moved) / 2
    assert RunFolder(tmp_path).averaged().keys() == before.keys()


KILLED = """
import os, signal, sys, torch
from pathlib import Path
sys.path.insert(0, {here!r})
from conftest import PLAIN, TINY
from napari_sparsessp.networks import build_network
from napari_sparsessp.training.loop import TrainingPlan, train
from napari_sparsessp.training.patches import Pair
import numpy as np
torch.set_num_threads(1)
look = np.random.default_rng(0).normal(size=(1, 12, 40, 40)).astype(np.float16)
torch.manual_seed(0)

def listen(status):
    if status.step == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

train(
    build_network(TINY), [Pair(look, np.concatenate([look, -look]))], PLAIN,
    TrainingPlan(0, 30, batch=2, precision="fp32", save_steps=5), Path(sys.argv[1]),
    validate=lambda network: {{"r2": float(next(network.parameters()).sum())}},
    listen=listen,
)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_training_goes_on_bit_for_bit(tmp_path):
    code = KILLED.format(here=str(Path(__file__).parent))

    def run(folder, killed_at=-1):
        command = [sys.executable, "-c", code, str(folder), str(killed_at)]
        return subprocess.run(command, check=False).returncode

    assert run(tmp_path / "whole") == 0
    assert run(tmp_path / "killed", killed_at=13) == -signal.SIGKILL
    assert state(tmp_path / "killed")["progress"]["step"] == 10
    assert run(tmp_path / "killed") == 0
    one, other = state(tmp_path / "whole"), state(tmp_path / "killed")
    for part in ("network", "average", "optimiser"):
        assert same(one[part], other[part])
    best = [RunFolder(tmp_path / name).best() for name in ("whole", "killed")]
    assert same(*best)
    logs = [RunFolder(tmp_path / name).entries() for name in ("whole", "killed")]
    for log in logs:
        for entry in log:
            del entry["spent"]
    assert logs[0] == logs[1]


def test_out_of_memory_halves_the_batch_and_says_so(pair, plain, tiny, tmp_path):
    net = network(tiny)
    forward = net.forward

    def small_only(x, **options):
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return forward(x, **options)

    net.forward = small_only
    notes = []
    one = plan(3, batch=8, average=0.0)
    train(net, [pair], plain, one, tmp_path, listen=lambda s: notes.append(s.note))
    assert [note for note in notes if note] == [
        "out of memory: the batch is halved to 4",
        "out of memory: the batch is halved to 2",
    ]
    assert state(tmp_path)["progress"]["batch"] == 2


def test_a_step_that_is_not_finite_is_skipped(pair, plain, tiny, tmp_path):
    net = network(tiny)
    forward, calls = net.forward, []

    def sometimes(x, **options):
        calls.append(len(calls))
        return forward(x, **options) * (torch.nan if len(calls) == 2 else 1.0)

    net.forward = sometimes
    train(net, [pair], plain, plan(4, average=0.0), tmp_path)
    assert state(tmp_path)["progress"]["skipped"] == 1
    assert all(p.isfinite().all() for p in net.parameters())
    net.forward = lambda x, **options: forward(x, **options) * torch.nan
    with pytest.raises(PredictionError, match="not finite in 50 steps"):
        train(net, [pair], plain, plan(80, average=0.0), tmp_path / "never")


def test_what_is_fine_tuned_may_stay_the_best(pair, plain, tiny, tmp_path):
    scores = iter([0.9, 0.5])
    train(
        network(tiny), [pair], plain, plan(4, judge_first=True), tmp_path,
        validate=lambda network: {"r2": next(scores)},
    )  # fmt: skip
    best = RunFolder(tmp_path).best()
    assert (best["step"], best["r2"]) == (0, 0.9)
    assert same(best["network"], dict(network(tiny).state_dict()))


def test_frozen_parts_stay_as_they_are(pair, plain, tiny, tmp_path):
    net = network(tiny)
    net.encoder.requires_grad_(False)
    before = {k: v.clone() for k, v in net.encoder.state_dict().items()}
    train(net, [pair], plain, plan(3), tmp_path)
    assert same(before, dict(net.encoder.state_dict()))
    assert same(before, {
        k.removeprefix("encoder."): v
        for k, v in state(tmp_path)["average"].items() if k.startswith("encoder.")
    })  # fmt: skip


def test_the_state_of_another_network_is_refused(pair, plain, tiny, tmp_path):
    train(network(tiny), [pair], plain, plan(1), tmp_path)
    other = tiny.model_copy(update={"decoder_widths": (8, 8, 16)})
    with pytest.raises(InputError, match="does not belong to this training"):
        train(network(other), [pair], plain, plan(1), tmp_path)
    (tmp_path / "state.pt").write_bytes(b"no state")
    with pytest.raises(InputError, match="choose another output folder"):
        train(network(tiny), [pair], plain, plan(1), tmp_path)


def test_a_cut_off_line_of_the_log_does_not_matter(pair, plain, tiny, tmp_path):
    train(network(tiny), [pair], plain, plan(1), tmp_path)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": 1})[:5])
    train(network(tiny), [pair], plain, plan(2), tmp_path)
    assert [one["step"] for one in RunFolder(tmp_path).entries()] == [1, 2]


CPU = torch.device("cpu")


class _Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x, tasks=None):
        return self.norm(self.conv(x))


def _passes(count=5):
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        source = 3 + torch.randn(4, 1, 8, 8, generator=generator)
        yield Batch(source, source, source, source, None)


def test_every_pass_counts_the_same():
    """The mean is that of all passes together, whatever was there before."""
    network = _Net()
    network.norm.running_mean.fill_(100.0)
    update_norms(network, _passes(), CPU)
    seen = torch.cat([network.conv(batch.source) for batch in _passes()])
    torch.testing.assert_close(
        network.norm.running_mean, seen.mean((0, 2, 3)).detach(), rtol=1e-4, atol=1e-4
    )
    assert network.norm.momentum == 0.1
    assert not network.training
    assert not network.norm.training
    # Frozen norms keep theirs; passes are not even asked for.
    network.norm.requires_grad_(False)
    before = network.norm.running_mean.clone()

    def never():
        raise AssertionError
        yield

    update_norms(network, never(), CPU)
    assert torch.equal(network.norm.running_mean, before)

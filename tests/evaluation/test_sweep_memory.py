"""A sweep is known by its pixels, weights and ratios; the last ones are remembered."""

from types import SimpleNamespace

import numpy as np
import pytest

from fake_engine import card
from napari_sparsessp import PredictionRequest
from napari_sparsessp.evaluation import sweep_memory
from napari_sparsessp.evaluation.sweep import plan_sweep
from napari_sparsessp.evaluation.sweep_memory import (
    SweepMemory,
    SweepRecord,
    image_digest,
    sweep_key,
)
from napari_sparsessp.volume import Volume

CUBE = (0.29, 0.29, 0.29)


def _volume(seed=0, name="stack", **changes):
    rng = np.random.default_rng(seed)
    stack = rng.integers(0, 4000, (8, 40, 40)).astype(np.uint16)
    return Volume(stack, "ZYX", **{"voxel_size": CUBE, "name": name, **changes})


def _key(volume=None, truth=None, ratios=(1, 2), sha="abc", **request):
    asked = PredictionRequest(**{"device": "cpu", **request})
    truth = {"dna": truth or _volume(1)}
    return sweep_key(sha, plan_sweep(card(), volume or _volume(), truth, asked, ratios))


def test_names_of_layers_do_not_matter():
    assert _key(_volume(name="other"), input="other") == _key(input="stack")


@pytest.mark.parametrize(
    "change",
    [
        {"volume": _volume(5)},
        {"volume": _volume(voxel_size=(0.3, 0.29, 0.29))},
        {"truth": _volume(6)},
        {"ratios": (1, 4)},
        {"sha": "abd"},
        {"tta": True},
        {"device": "auto"},
    ],
    ids=str,
)
def test_what_changes_the_scores_makes_another_sweep(change):
    if change.get("truth") is not None:
        assert _key(None, change["truth"]) != _key()
    else:
        assert _key(**change) != _key()


def test_one_changed_voxel_is_noticed_and_little_is_read_at_a_time(monkeypatch):
    volume = _volume()
    before = image_digest(volume)
    monkeypatch.setattr(sweep_memory, "AT_ONCE", 3 * 40 * 40 * 2)
    calls = []
    assert image_digest(volume, lambda: calls.append(1)) == before
    assert len(calls) == 3
    volume.array[7, 39, 39] += 1
    assert image_digest(volume) != before


def _record(finished=True):
    return SweepRecord(SimpleNamespace(finished=finished))


def test_the_sweeps_used_longest_ago_are_forgotten_first():
    memory = SweepMemory(most=2)
    first = _record()
    memory.put("a", first)
    memory.put("b", _record())
    assert memory.get("a") is first
    memory.put("c", _record())
    assert memory.get("b") is None
    assert memory.get("a") is first
    assert len(memory) == 2


def test_what_was_stopped_is_not_taken_for_done():
    memory = SweepMemory()
    memory.put("a", _record(finished=False))
    assert memory.get("a") is None

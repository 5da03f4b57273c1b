"""Trials of small networks, and what their differences are worth."""

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation import trials
from napari_sparsessp.evaluation.spread import Summary, compare, summarise
from napari_sparsessp.evaluation.trials import Ground, Trial, run_trial, step_seconds
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.training import loop
from napari_sparsessp.training.patches import Pair
from thin import thin_network


def _trial(**changes):
    return Trial("thin", thin_network(**changes), (2, 4))


@pytest.fixture
def ground():
    """Noise, and what it is blurred to: something that can be learnt."""
    rng = np.random.default_rng(0)
    light = rng.standard_normal((1, 8, 24, 24)).astype(np.float32)
    target = (light[0] + np.roll(light[0], 1, -1)) / np.float32(1.4)
    training = [Pair(light, [target], (label,)) for label in (0, 1)]
    held = [Pair(light, [target, -target])]
    return Ground(training, held, ("dna", "golgi_apparatus"), (16, 16))


def test_a_trial_is_scored_at_each_mark(ground, tmp_path):
    result = run_trial(_trial(), ground, 0, {"steps": 4, "time": 2}, tmp_path)
    marks = result["marks"]
    assert {name: one["steps"] for name, one in marks.items()} == {
        "steps": 4,
        "time": 2,
    }
    assert set(marks["time"]["r2"]) == {"2", "4"}
    by_structure = [one["4"] for one in marks["steps"]["structures"].values()]
    assert marks["steps"]["r2"]["4"] == pytest.approx(np.mean(by_structure))
    assert marks["steps"]["r2"] != marks["time"]["r2"]


def test_a_mark_on_the_way_changes_nothing(ground, tmp_path):
    """The rate is constant, so the state after four steps is always the same."""
    alone = run_trial(_trial(), ground, 0, {"a": 4}, tmp_path / "alone")
    marked = run_trial(_trial(), ground, 0, {"b": 2, "a": 4}, tmp_path / "marked")
    assert alone["marks"]["a"] == marked["marks"]["a"]


def test_what_is_done_is_not_done_again(ground, tmp_path, monkeypatch):
    first = run_trial(_trial(), ground, 0, {"a": 2}, tmp_path)
    trained = []
    whole = loop.train

    def counted(*arguments, **options):
        trained.append(arguments[3].steps)
        return whole(*arguments, **options)

    monkeypatch.setattr(loop, "train", counted)
    assert run_trial(_trial(), ground, 0, {"a": 2, "same": 2}, tmp_path)["marks"] == {
        "a": first["marks"]["a"],
        "same": first["marks"]["a"],
    }
    assert trained == []
    run_trial(_trial(), ground, 0, {"a": 2, "b": 3}, tmp_path)
    assert trained == [3]


def test_seeds_differ(ground, tmp_path):
    one, other = (
        run_trial(_trial(), ground, seed, {"a": 2}, tmp_path / str(seed))["marks"]["a"]
        for seed in (0, 1)
    )
    assert one["r2"] != other["r2"]


def test_networks_of_one_ratio_learn_from_its_planes(ground):
    every = NetworkConfig(
        backbone="dod",
        topology="2d",
        mapping="none",
        ratio=4,
        depth=8,
        outputs=2,
        encoder_widths=(4, 4),
        encoder_blocks=(1, 1),
        decoder_widths=(4,),
    )
    recipe = ground.recipe(Trial("none", every, (4,)))
    assert (recipe.every, recipe.random_phase, recipe.ratios) == (4, False, (4,))
    assert ground.recipe(_trial()).random_phase


def test_the_time_of_a_step_is_that_of_the_fastest(ground, monkeypatch):
    moments = iter(np.cumsum([0.0, 5, 2, 3, 9, 4, 1e-9, 7]))
    monkeypatch.setattr(trials.time, "perf_counter", lambda: float(next(moments)))
    assert step_seconds(_trial(), ground) == 2


def test_a_difference_is_shown_beyond_the_combined_spread():
    one, other = summarise([0.3, 0.5]), Summary(0.1, 0.1, 2)
    found = compare(one, other)
    assert found.difference == pytest.approx(0.3)
    assert found.spread == pytest.approx((0.02 + 0.01) ** 0.5)
    assert found.shown
    assert compare(other, one).shown, "either way round"
    assert not compare(Summary(0.2, 0.1, 2), other).shown


def test_one_seed_shows_nothing():
    assert not compare(summarise([0.9]), summarise([0.1, 0.1])).shown
    with pytest.raises(InputError, match="at least one seed"):
        summarise([])

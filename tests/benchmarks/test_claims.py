"""The study of the paper's claims: trials, what is tried, and what its page says."""

import json

import numpy as np
import pytest

from benchmarks.claims import page, study
from benchmarks.claims.study import Ground, Trial, run_trial
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.networks.cost import count_cost
from napari_sparsessp.training.patches import Pair
from thin import thin_network

THIN = Trial("thin", thin_network(), (2, 4))


@pytest.fixture
def ground():
    """Noise, and what it is blurred to: something that can be learnt."""
    rng = np.random.default_rng(0)
    light = rng.standard_normal((1, 8, 24, 24)).astype(np.float32)
    target = (light[0] + np.roll(light[0], 1, -1)) / np.float32(1.4)
    training = [Pair(light, [target], (label,)) for label in (0, 1)]
    held = [Pair(light, [target, -target])]
    return Ground(training, held, ("dna", "golgi_apparatus"), (16, 16))


def test_a_trial_is_scored_at_each_mark_and_done_once(ground, tmp_path, monkeypatch):
    """The rate is constant, so a mark on the way changes nothing."""
    marks = run_trial(THIN, ground, 0, {"steps": 4, "time": 2}, tmp_path)["marks"]
    assert {name: one["steps"] for name, one in marks.items()} == {
        "steps": 4,
        "time": 2,
    }
    by_structure = [one["4"] for one in marks["steps"]["structures"].values()]
    assert marks["steps"]["r2"]["4"] == pytest.approx(np.mean(by_structure))
    assert marks["steps"]["r2"] != marks["time"]["r2"]
    alone = run_trial(THIN, ground, 0, {"a": 4}, tmp_path / "alone")
    assert alone["marks"]["a"] == marks["steps"]
    other = run_trial(THIN, ground, 1, {"a": 2}, tmp_path / "other")
    assert other["marks"]["a"]["r2"] != marks["time"]["r2"]
    monkeypatch.setattr(Ground, "train", None)
    again = run_trial(THIN, ground, 0, {"steps": 4, "same": 2}, tmp_path)["marks"]
    assert again["same"] == marks["time"]


def test_networks_of_one_ratio_learn_from_its_planes(ground):
    widths = {
        "encoder_widths": (4, 4),
        "encoder_blocks": (1, 1),
        "decoder_widths": (4,),
    }
    every = NetworkConfig(
        backbone="dod", topology="2d", mapping="none", ratio=4, depth=8, outputs=2,
        **widths,
    )  # fmt: skip
    recipe = ground.recipe(Trial("none", every, (4,)))
    assert (recipe.every, recipe.random_phase, recipe.ratios) == (4, False, (4,))
    assert ground.recipe(THIN).random_phase


def test_the_time_of_a_step_is_that_of_the_fastest(ground, monkeypatch):
    moments = iter(np.cumsum([0.0, 5, 2, 3, 9, 4, 1e-9, 7]))
    monkeypatch.setattr(study.time, "perf_counter", lambda: float(next(moments)))
    assert study.step_seconds(THIN, ground) == 2


def test_a_difference_is_shown_beyond_the_combined_spread():
    value, spread = page.compare([0.3, 0.5], [0.0, 0.2])
    assert value == pytest.approx(0.3)
    assert spread == pytest.approx((0.02 + 0.02) ** 0.5)
    assert page.verdict((value, spread), 0.1) == "agrees"
    assert page.verdict((-value, spread), 0.1) == "**disagrees**"
    assert page.verdict((0.1, spread), 0.1) == "not shown"
    assert page.verdict(page.compare([0.9], [0.1, 0.1]), 0.1) == "one seed"


def _study(r2):
    """A study in which every trial has these R² by seed."""
    runs = []
    for name, trial in study.trials().items():
        for seed, value in enumerate(r2(name)):
            one = {"steps": 9, "r2": {str(r): value for r in trial.ratios}}
            marks = dict.fromkeys(("steps", "time", "gmac"), one)
            runs.append({"trial": name, "seed": seed, "marks": marks})
    return {
        "machine": {"cpu": "one", "torch": "2"},
        "options": {
            "steps": 9, "minutes_per_run": 1, "colonies": 2, "held": 2, "side": 48,
            "batch": 2, "threads": 1,
        },
        "trials": {
            name: {"parameters": 1e5, "gmac": 1, "gmac_all": 2, "step_seconds": 0.1}
            for name in study.trials()
        },
        "patch": [32, 48, 48],
        "ratios": [2, 4, 8],
        "runs": runs,
    }  # fmt: skip


def test_trials_and_claims_are_those_of_the_paper():
    every = study.trials()
    for claim in study.claims():
        for name in (claim.better, claim.worse):
            assert set(claim.paper) <= set(every[name].ratios), claim.text
        for ratio in {2, 4} & set(claim.paper):
            assert claim.paper[ratio] > 0, (claim.text, ratio)
    assert set(study.RIVALS) <= set(every)
    rest = []
    for name in (study.BASE, "multihead", "condnet", "tgnet", "repmode"):
        rest.append(every[name].network.model_dump(exclude={"conditioning"}))
    assert all(one == rest[0] for one in rest), "they differ in nothing else"
    ours, base = (
        count_cost(every[name].network, [0], study.PATCH).gmac
        for name in ("slim", study.BASE)
    )
    assert ours == pytest.approx(base, rel=0.02)


def test_the_page_says_what_agrees_what_was_not_run_and_who_started_late():
    scores = {
        "3to2d": (0.30, 0.31), "3d": (0.20, 0.21), "2d": (0.40, 0.41),
        "slim": (0.30, 0.31), "condnet": (0.01, 0.20),
    }  # fmt: skip
    found = _study(lambda name: scores.get(name, (0.25, 0.40)))
    found["runs"] = [one for one in found["runs"] if one["trial"] != "tgnet"]
    text = page.page(found)
    rows = {
        (cells[0], cells[1]): cells
        for cells in (line.strip("| ").split(" | ") for line in text.splitlines())
        if len(cells) >= 5
    }
    assert rows["3-to-2D beats 3D", "2"][-1] == "agrees"
    assert rows["3-to-2D beats 2D", "8"][-1] == "**disagrees**"
    assert rows["2-to-3D beats 2D", "4"][-1] == "not shown"
    assert "not run" in rows["TGNet beats DoDNet", "2"][-1]
    assert "Against the paper: “3-to-2D beats 2D” at r = 2, 4, 8" in text
    assert "R² below 0.05): `condnet` (1 of 2 seeds)." in text
    table = text.partition("## Our default")[2]
    marked = {line.split("`")[1]: line for line in table.splitlines() if "(9)" in line}
    assert "▼" in marked["3d"]
    assert "▲" in marked["2d"]
    assert not {"▼", "▲"} & set(marked["slim"] + marked["2to3d"])
    alone = page.page(_study(lambda name: (0.1,)))
    assert "| one seed |" in alone
    assert "Of 0 comparisons" in alone
    assert "Late starters" not in alone


def test_names_choose_trials():
    assert set(study.chosen_trials("3to2d, slim")) == {"3to2d", "slim"}
    with pytest.raises(SystemExit, match="no trial nonsense; choose of 3d"):
        study.chosen_trials("nonsense")


def test_the_page_is_up_to_date():
    """Otherwise: python -m benchmarks.claims.study --page."""
    found = json.loads((study.GENERATED / "claims.json").read_text("utf-8"))
    assert page.page(found) == (study.GENERATED / "claims.md").read_text("utf-8")

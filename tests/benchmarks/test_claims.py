"""The study of the paper's claims: what is tried, and what its page says."""

import importlib
import sys
from pathlib import Path

import pytest

from napari_sparsessp.networks.cost import count_cost

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def script():
    """Import a script by its name."""
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module
    sys.path.remove(str(SCRIPTS))


@pytest.fixture
def plan(script):
    """What is tried."""
    return script("claims_plan")


@pytest.fixture
def page(script):
    """How it is told."""
    return script("claims_page")


def _study(plan, r2):
    """A study in which every trial has these R² by seed."""
    runs = []
    for name, trial in plan.trials().items():
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
            for name in plan.trials()
        },
        "patch": [32, 48, 48],
        "ratios": [2, 4, 8],
        "runs": runs,
    }  # fmt: skip


def test_every_claim_is_about_two_trials_at_their_ratios(plan):
    every = plan.trials()
    for claim in plan.claims():
        for name in (claim.better, claim.worse):
            assert set(claim.paper) <= set(every[name].ratios), claim.text
    assert set(plan.RIVALS) <= set(every)


def test_the_paper_finds_what_it_claims_at_r_2_and_4(plan):
    for claim in plan.claims():
        for ratio in {2, 4} & set(claim.paper):
            assert claim.published(ratio) > 0, (claim.text, ratio)


def test_the_default_costs_what_the_small_dodnet_does(plan):
    ours, base = (
        count_cost(plan.trials()[name].network, [0], plan.PATCH).gmac
        for name in ("slim", plan.BASE)
    )
    assert ours == pytest.approx(base, rel=0.02)


def test_conditioning_trials_differ_in_nothing_else(plan):
    def rest(name):
        values = plan.trials()[name].network.model_dump()
        del values["conditioning"]
        return values

    for name in ("multihead", "condnet", "tgnet", "repmode"):
        assert rest(name) == rest(plan.BASE)


def test_verdicts_agree_disagree_or_are_not_shown(plan, page):
    scores = {"3to2d": (0.30, 0.31), "3d": (0.20, 0.21), "2d": (0.40, 0.41)}
    text = page.page(_study(plan, lambda name: scores.get(name, (0.25, 0.40))))
    rows = {
        (cells[0], cells[1]): cells[-1]
        for cells in (line.strip("| ").split(" | ") for line in text.splitlines())
        if len(cells) >= 5
    }
    assert rows["3-to-2D beats 3D", "2"] == "agrees"
    assert rows["3-to-2D beats 2D", "8"] == "**disagrees**"
    assert rows["TGNet beats CondNet", "4"] == "not shown"
    assert "Against the paper: “3-to-2D beats 2D” at r = 2, 4, 8" in text


def test_one_seed_has_no_verdict(plan, page):
    text = page.page(_study(plan, lambda name: (0.1,)))
    assert "| one seed |" in text
    assert "Of 0 comparisons" in text


def test_what_was_not_run_is_said(plan, page):
    study = _study(plan, lambda name: (0.1, 0.2))
    study["runs"] = [one for one in study["runs"] if one["trial"] != "tgnet"]
    line = next(
        one
        for one in page.page(study).splitlines()
        if one.startswith("| TGNet beats DoDNet | 2 ")
    )
    assert "not run" in line


def test_rivals_are_marked_against_the_default(plan, page):
    scores = {"slim": (0.30, 0.31), "3d": (0.20, 0.21), "2d": (0.40, 0.41)}
    text = page.page(_study(plan, lambda name: scores.get(name, (0.25, 0.40))))
    table = text.partition("## Our default")[2]
    marked = {line.split("`")[1]: line for line in table.splitlines() if "(9)" in line}
    assert "▼" in marked["3d"]
    assert "▲" in marked["2d"]
    assert not {"▼", "▲"} & set(marked["slim"] + marked["tgnet"])


def test_seeds_that_have_not_left_the_mean_are_told(plan, page):
    scores = {"2d": (0.01, 0.20), "3d": (0.06, 0.20)}
    text = page.page(_study(plan, lambda name: scores.get(name, (0.25, 0.40))))
    assert "R² below 0.05): `2d` (1 of 2 seeds)." in text
    assert "Late starters" not in page.page(_study(plan, lambda name: (0.2, 0.3)))


def test_groups_and_names_choose_trials(script):
    chosen = script("paper_claims").chosen_trials
    assert set(chosen("topology,slim")) == {"3to2d", "3d", "2to3d", "2d", "slim"}
    with pytest.raises(SystemExit, match="no trial or group nonsense"):
        chosen("nonsense")

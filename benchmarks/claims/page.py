"""The page of `study.py`: tables, and which claims agree with the paper."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from jinja2 import Environment, StrictUndefined

from benchmarks.claims.study import BASE, RIVALS, Claim, claims
from benchmarks.pages import markdown

Scores = dict[tuple[str, str, str], list[float]]
STARTED = 0.05
"""R² below which a network has learned next to nothing."""

AGREES, DISAGREES, HIDDEN = "agrees", "**disagrees**", "not shown"


def page(study: Mapping[str, Any]) -> str:
    """Write the whole page."""
    scores: Scores = {}
    for run in study["runs"]:
        for mark, one in run["marks"].items():
            values = {**one["r2"], "mean": fmean(one["r2"].values())}
            for ratio, value in values.items():
                scores.setdefault((run["trial"], mark, ratio), []).append(value)
    judged = [
        (claim, ratio, _difference(scores, claim, ratio))
        for claim in claims()
        for ratio in claim.paper
    ]
    names = [run["trial"] for run in study["runs"]]
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    template = Path(__file__).with_name("claims.md.j2").read_text("utf-8")
    return environment.from_string(template).render(
        study=study,
        base=BASE,
        started=f"{STARTED:g}",
        patch="×".join(map(str, study["patch"])),
        # A few planes more than a patch, so that its place in z varies.
        depth=study["patch"][0] + 8,
        seeds=min(map(names.count, set(names)), default=0),
        claims=markdown(_claim_rows(judged)),
        tally=_tally(judged),
        steps=markdown(_step_rows(study, scores)),
        late=", ".join(_late_starters(study)),
        minutes=f"{study['options']['minutes_per_run']:g}",
        rivals=markdown(_rival_rows(study, scores)),
    )


def compare(one: Sequence[float], other: Sequence[float]) -> tuple[float, float | None]:
    """Return the difference of the means and √(s₁² + s₂²); None for a single seed."""
    several = len(one) > 1 and len(other) > 1
    spread = math.hypot(stdev(one), stdev(other)) if several else None
    return fmean(one) - fmean(other), spread


def verdict(difference: tuple[float, float | None] | None, published: float) -> str:
    """Return whether a difference agrees with the published one.

    A difference counts as shown where it is larger than the combined spread: with
    three seeds there is no test of significance worth the name.
    """
    if difference is None:
        return ""
    value, spread = difference
    if spread is None:
        return "one seed"
    if abs(value) <= spread:
        return HIDDEN
    return AGREES if (value > 0) == (published > 0) else DISAGREES


def _difference(scores: Scores, claim: Claim, ratio: int) -> Any:
    keys = [(one, "steps", str(ratio)) for one in (claim.better, claim.worse)]
    return compare(*map(scores.get, keys)) if all(k in scores for k in keys) else None


def _claim_rows(judged: Sequence[tuple[Claim, int, Any]]) -> list[Sequence[str]]:
    """Each claim at each ratio: the paper's difference and ours."""
    rows: list[Sequence[str]] = [("claim", "r", "paper", "source", "here", "")]
    for claim, ratio, found in judged:
        published = claim.paper[ratio]
        here = "not run" if found is None else signed(*found, plus="+")
        row = (claim.text, str(ratio), signed(published, plus="+"))
        rows.append((*row, claim.source, here, verdict(found, published)))
    return rows


def _tally(judged: Sequence[tuple[Claim, int, Any]]) -> str:
    """Count the verdicts, and name the claims that disagree."""
    said = [(c, r, verdict(found, c.paper[r])) for c, r, found in judged]
    said = [one for one in said if one[2] in (AGREES, DISAGREES, HIDDEN)]
    count = {word: sum(one[2] == word for one in said) for word in (AGREES, DISAGREES)}
    hidden = len(said) - sum(count.values())
    text = (
        f"Of {len(said)} comparisons {count[AGREES]} agree with the paper, "
        f"{count[DISAGREES]} disagree, and {hidden} are smaller than the spread over "
        "seeds."
    )
    against: dict[str, list[str]] = {}
    for claim, ratio, word in said:
        if word == DISAGREES:
            against.setdefault(claim.text, []).append(str(ratio))
    listed = "; ".join(f"“{k}” at r = {', '.join(v)}" for k, v in against.items())
    return text + (f" Against the paper: {listed}." if listed else "")


def _step_rows(study: Mapping[str, Any], scores: Scores) -> list[Sequence[str]]:
    """All trials after equally many steps."""
    ratios = [str(ratio) for ratio in study["ratios"]]
    head = ("network", "parameters", "GMAC", "GMAC, 12 structures", "s/step")
    rows: list[Sequence[str]] = [(*head, *(f"r = {ratio}" for ratio in ratios))]
    for name, entry in study["trials"].items():
        cells = [scores.get((name, "steps", ratio)) for ratio in ratios]
        if any(cells):
            size = f"{entry['parameters'] / 1e3:.0f} k"
            cost = f"{entry['gmac']:.3f}", f"{entry['gmac_all']:.3f}"
            step = f"{entry['step_seconds']:.2f}"
            rows.append((f"`{name}`", size, *cost, step, *map(cell, cells)))
    return rows


def _late_starters(study: Mapping[str, Any]) -> list[str]:
    """Trials with seeds that have not left the mean, and how many of them."""
    low: dict[str, list[bool]] = {}
    for run in study["runs"]:
        if scores := run["marks"].get("steps", {}).get("r2", {}).values():
            low.setdefault(run["trial"], []).append(fmean(scores) < STARTED)
    return [
        f"`{name}` ({sum(some)} of {len(some)} seeds)"
        for name, some in low.items()
        if any(some)
    ]


def _rival_rows(study: Mapping[str, Any], scores: Scores) -> list[Sequence[str]]:
    """The default against all at equal steps, time and GMAC."""
    rows: list[Sequence[str]] = [("network", "equal steps", "equal time", "equal GMAC")]
    steps = {
        (run["trial"], mark): one["steps"]
        for run in study["runs"]
        for mark, one in run["marks"].items()
    }
    for name in ("slim", *RIVALS):
        cells = []
        for mark in ("steps", "time", "gmac"):
            values, ours = (scores.get((who, mark, "mean")) for who in (name, "slim"))
            text = cell(values)
            if values is not None:
                text += f" ({steps[name, mark]})"
            if values is not None and ours is not None and name != "slim":
                said = verdict(compare(values, ours), 1.0)
                text += {AGREES: " ▲", DISAGREES: " ▼"}.get(said, "")
            cells.append(text)
        rows.append((f"`{name}`", *cells))
    return rows


def cell(values: Sequence[float] | None) -> str:
    """Mean and deviation."""
    if not values:
        return "–"
    return signed(fmean(values), stdev(values) if len(values) > 1 else None)


def signed(value: float, spread: float | None = None, plus: str = "") -> str:
    """Write a value with a true minus, and its spread."""
    sign = plus if value >= 0 else ""
    text = f"{sign}{value:.3f}".replace("-", "−")
    return text if spread is None else f"{text} ± {spread:.3f}"

"""The page of `paper_claims.py`: tables, and what agrees with the paper."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from claims_plan import BASE, RIVALS, Claim, claims

from napari_sparsessp.evaluation.spread import Comparison, Summary, compare, summarise

Scores = dict[tuple[str, str, str], list[float]]

HEAD = """# The paper's claims, put to the test

Written by `python benchmarks/claims/run.py --page` from `docs/claims.json`, which
`python benchmarks/claims/run.py` makes.

SparseSSP (Zheng et al., ECCV 2024) was trained for days on twelve real data sets.
Here **small** networks learn for a minute or less on simulated colonies. So this page
says which of the paper's orderings already show under an equal and small budget; what
does not show here may still be true of its networks and its data.
"""


STARTED = 0.05
"""R² below which a network has learned next to nothing."""


def page(study: Mapping[str, Any]) -> str:
    """Write the whole page."""
    scores = by_mark(study["runs"])
    parts = [HEAD, conditions(study), "## Claims\n", claims_table(scores)]
    parts += ["", tally(scores), "", *steps_section(study, scores)]
    parts += ["", *rivals_section(study, scores)]
    if study.get("duel"):
        parts += ["", *duel_section(study["duel"])]
    return "\n".join(parts).rstrip() + "\n"


def by_mark(runs: Sequence[Mapping[str, Any]]) -> Scores:
    """(trial, mark, ratio) to R² of each seed; ``mean`` is over ratios."""
    found: Scores = {}
    for run in runs:
        for mark, one in run["marks"].items():
            values = {**one["r2"], "mean": sum(one["r2"].values()) / len(one["r2"])}
            for ratio, value in values.items():
                found.setdefault((run["trial"], mark, ratio), []).append(value)
    return found


def conditions(study: Mapping[str, Any]) -> str:
    """Say how small, and under which conditions."""
    options, machine = study["options"], study["machine"]
    patch = "×".join(map(str, study["patch"]))
    # A few planes more than a patch, so that its place in z varies.
    size = f"{study['patch'][0] + 8}×{options['side']}×{options['side']}"
    return f"""## How small

- Data: {options["colonies"]} simulated colonies of {size} voxels to learn from,
  {options["held"]} others to be scored on, twelve structures, truth free of noise. Each
  patch has the label of one structure, as each of the paper's images has.
- Networks: DoDNet's U-Net, widths 8-16-32-64 (the paper: 32-64-128-256-256), U = 64,
  3D decoders 8-16-32, 2D ones 32-32-48; group norm. One network serves r = 2, 4 and 8
  (the paper trains one for each), but for the rows on mapping, where networks without
  prefix serve r = 4 alone and so does their rival.
- Training: {options["steps"]} steps of {options["batch"]} patches of {patch} voxels,
  AdamW at a constant rate of 0.002 (the same for all, tuned for none), running mean of
  the weights, MSE, float32.
- Scores: R², mean over structures and held-out colonies, planes from the first; mean ±
  standard deviation over {seeds(study)} seeds (of weights and patches). A difference
  counts as **shown** where it is larger than the combined deviation √(s₁² + s₂²): no
  test of significance.
- Machine: {machine["cpu"]}, {options["threads"]} threads, torch {machine["torch"]}.
"""


def seeds(study: Mapping[str, Any]) -> int:
    """How many seeds all trials have."""
    counts: dict[str, int] = {}
    for run in study["runs"]:
        counts[run["trial"]] = counts.get(run["trial"], 0) + 1
    return min(counts.values(), default=0)


def claims_table(scores: Scores) -> str:
    """Each claim at each ratio: the paper's difference and ours."""
    rows = [("claim", "r", "paper", "source", "here", "")]
    for claim, ratio, found in judged(scores):
        here = "not run" if found is None else difference(found)
        paper = f"{claim.published(ratio):+.3f}".replace("-", "−")
        source = f"{claim.source}, {claim.score}"
        rows.append(
            (claim.text, str(ratio), paper, source, here, verdict(claim, ratio, found))
        )
    return markdown(rows)


def judged(scores: Scores) -> Iterator[tuple[Claim, int, Comparison | None]]:
    """Every claim at every ratio with what was found."""
    for claim in claims():
        for ratio in claim.paper:
            keys = [(one, "steps", str(ratio)) for one in (claim.better, claim.worse)]
            found = None
            if all(key in scores for key in keys):
                found = compare(*(summarise(scores[key]) for key in keys))
            yield claim, ratio, found


def verdict(claim: Claim, ratio: int, found: Comparison | None) -> str:
    """Whether what was found agrees with what was published."""
    if found is None:
        return ""
    if found.spread is None:
        return "one seed"
    if not found.shown:
        return "not shown"
    same = (found.difference > 0) == (claim.published(ratio) > 0)
    return "agrees" if same else "**disagrees**"


def tally(scores: Scores) -> str:
    """Count the verdicts, and name what disagrees."""
    every = [
        (claim, ratio, verdict(claim, ratio, found))
        for claim, ratio, found in judged(scores)
        if found is not None and found.spread is not None
    ]
    count = {
        word: sum(said == word for *_, said in every)
        for word in ("agrees", "**disagrees**", "not shown")
    }
    text = (
        f"Of {len(every)} comparisons {count['agrees']} agree with the paper, "
        f"{count['**disagrees**']} disagree, and {count['not shown']} are smaller than "
        "the spread over seeds."
    )
    names: dict[str, list[str]] = {}
    for claim, ratio, said in every:
        if said == "**disagrees**":
            names.setdefault(claim.text, []).append(str(ratio))
    if names:
        listed = "; ".join(
            f"“{name}” at r = {', '.join(some)}" for name, some in names.items()
        )
        text += f" Against the paper: {listed}."
    return text


def steps_section(study: Mapping[str, Any], scores: Scores) -> Iterator[str]:
    """All trials after equally many steps."""
    yield "## After equally many steps\n"
    ratios = [str(ratio) for ratio in study["ratios"]]
    head = ("network", "parameters", "GMAC", "GMAC, 12 structures", "s/step")
    rows = [(*head, *(f"r = {ratio}" for ratio in ratios))]
    for name, entry in study["trials"].items():
        if not any((name, "steps", ratio) in scores for ratio in ratios):
            continue
        rows.append(
            (
                f"`{name}`",
                f"{entry['parameters'] / 1e3:.0f} k",
                f"{entry['gmac']:.3f}",
                f"{entry['gmac_all']:.3f}",
                f"{entry['step_seconds']:.2f}",
                *(cell(scores.get((name, "steps", ratio))) for ratio in ratios),
            )
        )
    yield markdown(rows)
    yield (
        "\nGMAC: of one patch, for one structure and for all. `multihead` to "
        f"`repmode`: that of `{BASE}`, which is DoDNet's, with another conditioning; "
        "`slim`: this project's default, scaled down to the same GMAC."
    )
    if late := late_starters(study):
        yield (
            "\n**Late starters.** After these steps some networks still gave little "
            f"more than the mean (R² below {STARTED:g}): {', '.join(late)}. They make "
            "the large deviations above: such a comparison says how surely a network "
            "gets started, not how good it becomes."
        )


def late_starters(study: Mapping[str, Any]) -> list[str]:
    """Trials with seeds that have not left the mean, and how many of them."""
    found: dict[str, list[bool]] = {}
    for run in study["runs"]:
        scores = run["marks"].get("steps", {}).get("r2", {}).values()
        if scores:
            low = sum(scores) / len(scores) < STARTED
            found.setdefault(run["trial"], []).append(low)
    return [
        f"`{name}` ({sum(low)} of {len(low)} seeds)"
        for name, low in found.items()
        if any(low)
    ]


def rivals_section(study: Mapping[str, Any], scores: Scores) -> Iterator[str]:
    """The default against all at equal steps, time and GMAC."""
    minutes = study["options"]["minutes_per_run"]
    yield "## Our default against all of them\n"
    yield (
        f"R², mean over r, after equally many steps, after {minutes:g} minutes (steps "
        "by the measured time of one), and after as many GMAC as the steps of "
        f"`{BASE}` take. In brackets how many steps that are.\n"
    )
    rows = [("network", "equal steps", "equal time", "equal GMAC")]
    steps = {
        (run["trial"], mark): one["steps"]
        for run in study["runs"]
        for mark, one in run["marks"].items()
    }
    for name in ("slim", *RIVALS):
        cells = []
        for mark in ("steps", "time", "gmac"):
            values = scores.get((name, mark, "mean"))
            text = cell(values)
            if values is not None:
                text += f" ({steps[name, mark]}){against(scores, name, mark)}"
            cells.append(text)
        rows.append((f"`{name}`", *cells))
    yield markdown(rows)
    yield "\n▼ shown to be worse than `slim`, ▲ shown to be better."


def against(scores: Scores, name: str, mark: str) -> str:
    """A mark where the difference to the default is shown."""
    ours = scores.get(("slim", mark, "mean"))
    if name == "slim" or ours is None:
        return ""
    found = compare(summarise(scores[name, mark, "mean"]), summarise(ours))
    if not found.shown:
        return ""
    return " ▲" if found.difference > 0 else " ▼"


def duel_section(duel: Mapping[str, Any]) -> Iterator[str]:
    """The default against DoDNet 3-to-2D in the sizes that are published."""
    yield "## At full size\n"
    yield (
        "The network of `colony-3to2d` against DoDNet 3-to-2D of the paper's widths, "
        f"both from scratch, {duel['minutes']:g} minutes on {duel['threads']} threads, "
        f"the same {duel['colonies']} colonies and the same recipe (`fast`, all "
        f"structures of a patch count), scored on {duel['held']} others.\n"
    )
    ratios = list(duel["runs"][0]["r2"])
    head = ("network", "parameters", "GMAC, 12 structures", "precision", "steps")
    rows = [(*head, *(f"r = {ratio}" for ratio in ratios))]
    for name, entry in duel["networks"].items():
        runs = [one for one in duel["runs"] if one["name"] == name]
        rows.append(
            (
                name,
                f"{entry['parameters'] / 1e6:.2f} M",
                f"{entry['gmac_all']:.1f}",
                entry["precision"],
                ", ".join(str(one["steps"]) for one in runs),
                *(cell([one["r2"][ratio] for one in runs]) for ratio in ratios),
            )
        )
    yield markdown(rows)


def cell(values: Sequence[float] | None) -> str:
    """Mean and deviation."""
    if not values:
        return "–"
    one: Summary = summarise(values)
    spread = "" if one.deviation is None else f" ± {one.deviation:.3f}"
    return f"{signed(one.mean)}{spread}"


def difference(found: Comparison) -> str:
    """A difference with its spread."""
    spread = "" if found.spread is None else f" ± {found.spread:.3f}"
    sign = "+" if found.difference >= 0 else "−"
    return f"{sign}{abs(found.difference):.3f}{spread}"


def signed(value: float) -> str:
    """Write a score with a true minus."""
    return f"{value:.3f}".replace("-", "−")


def markdown(table: Sequence[Sequence[str]]) -> str:
    """Lay out a table, its first row the headings."""
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

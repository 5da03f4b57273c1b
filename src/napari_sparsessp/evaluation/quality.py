"""How good models are: each on the same held-out fields, beside trivial predictors."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.quality_fields import Field, FieldSource
from napari_sparsessp.evaluation.quality_report import FieldScores, Scores
from napari_sparsessp.evaluation.sweep import PlannedRun, plan_sweep, run_sweep
from napari_sparsessp.evaluation.sweep_report import Yardsticks, measure_yardsticks
from napari_sparsessp.metrics import FIELDS
from napari_sparsessp.prediction.request import PredictionRequest

if TYPE_CHECKING:
    from napari_sparsessp.models.library import Model

KEPT = (*FIELDS, "r2_fitted")
"""Scores that are kept of each structure."""

_PERFECT = {"r2": 1.0, "pcc": 1.0, "pcc_plane": 1.0, "noise_share": 0.0}


@dataclass(frozen=True)
class QualityProgress:
    """How far the scoring is.

    Attributes
    ----------
    field, fields : int
        Number of the field, from 1, and how many there are.
    name : str
        Of the field.
    what : str
        What is done with it.
    seconds_left : float or None
        None until something has been measured.
    """

    field: int
    fields: int
    name: str
    what: str
    seconds_left: float | None


Tell = Callable[[QualityProgress], None]


@dataclass
class _Clock:
    """Guesses what is left: fields cost alike, and so do the models' runs on them."""

    fields: int
    began: float = field(default_factory=time.monotonic)
    done: float = 0.0

    def left(self) -> float | None:
        if not self.done:
            return None
        spent = time.monotonic() - self.began
        return spent / self.done * max(self.fields - self.done, 0)


def measure_quality(
    models: Mapping[str, "Model"],
    sources: Sequence[FieldSource],
    ratios: Sequence[int],
    request: PredictionRequest,
    known: Mapping[str, FieldScores] | None = None,
    tell: Tell = lambda now: None,
) -> Iterator[FieldScores]:
    """Score every model on every field at every ratio.

    Parameters
    ----------
    models : mapping
        By the name that the tables give them.
    sources : sequence of FieldSource
    ratios : sequence of int
        Every r-th plane is kept, from the first.
    request : PredictionRequest
        Device, precision and the like; the rest follows.
    known : mapping, optional
        Name of a field to what is known of it from before; only what is missing is
        measured. The first field is made again to see whether it is still the same.
    tell : callable

    Yields
    ------
    FieldScores
        Field by field.

    Raises
    ------
    InputError
        What is known is of other fields, or a field cannot be used.
    """
    before = dict(known or {})
    todo = [one for one in sources if _missing(before.get(one.name), models, ratios)]
    clock = _Clock(len(todo))
    checked = False
    for number, source in enumerate(sources, 1):
        found = before.get(source.name)
        steps = _missing(found, models, ratios)
        if found is not None and checked and not steps:
            yield found
            continue

        def say(what: str, number: int = number, name: str = source.name) -> None:
            tell(QualityProgress(number, len(sources), name, what, clock.left()))

        say("opening")
        opened = source.open()
        digest = opened.digest()
        if found is not None and found.digest != digest:
            raise InputError(
                f"{source.name} is no longer the one that was scored before; score "
                "anew, with --overwrite in place of --resume"
            )
        checked = True
        share = clock.done
        if found is None:
            say("yardsticks")
            found = _new(opened, digest, models, request)
        for done, (name, some) in enumerate(steps.items(), 1):
            say(f"{name}, r = {', '.join(map(str, some))}")
            found = _scored(found, opened, name, models[name], some, request)
            clock.done = share + done / len(steps)
        yield found


def _missing(
    found: FieldScores | None, models: Mapping[str, "Model"], ratios: Sequence[int]
) -> dict[str, list[int]]:
    """Ratios of each model that are still to be scored."""
    steps = {}
    for name in models:
        there = {} if found is None else found.models.get(name, {})
        some = [ratio for ratio in sorted(set(ratios)) if ratio not in there]
        if some:
            steps[name] = some
    return steps


def _new(
    opened: Field,
    digest: str,
    models: Mapping[str, "Model"],
    request: PredictionRequest,
) -> FieldScores:
    """What does not depend on any model, on the grid of the first that fits."""
    run = None
    for model in models.values():
        runs = _planned(opened, model, (1,), request)
        if runs and (run is None or len(runs[0].truth) > len(run.truth)):
            run = runs[0]
    if run is None:
        raise InputError(
            f"no model predicts any of the structures of {opened.name}: "
            f"{', '.join(opened.truth)}; give another model or leave that field out"
        )
    yardsticks, _, _ = measure_yardsticks(run)
    ceiling: dict[str, Any] = dict(yardsticks.ceiling)
    if opened.noise_free:
        ceiling = {name: dict(_PERFECT) for name in ceiling}
    trivial = {
        name: {which: _kept(scores) for which, scores in its.items()}
        for name, its in yardsticks.trivial.items()
    }
    return FieldScores(
        name=opened.name,
        group=opened.group,
        digest=digest,
        yardsticks=Yardsticks(trivial=trivial, ceiling=ceiling),
        models={},
    )


def _scored(
    found: FieldScores,
    opened: Field,
    name: str,
    model: "Model",
    ratios: Sequence[int],
    request: PredictionRequest,
) -> FieldScores:
    there: dict[int, Scores] = dict(found.models.get(name, {}))
    runs = _planned(opened, model, ratios, request)
    for result, _ in run_sweep(model, runs):
        there[result.ratio] = {
            structure: _kept(scores) for structure, scores in result.structures.items()
        }
    for ratio in ratios:
        there.setdefault(ratio, {})  # a model without any structure of the field
    models = {**found.models, name: dict(sorted(there.items()))}
    return found.model_copy(update={"models": models})


def _planned(
    opened: Field, model: "Model", ratios: Sequence[int], request: PredictionRequest
) -> list[PlannedRun]:
    truth = {
        name: one for name, one in opened.truth.items() if name in model.card.structures
    }
    if not truth:
        return []
    return plan_sweep(model.card, opened.light, truth, request, ratios)


def _kept(scores: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: scores.get(name) for name in KEPT}

"""The result of a sweep as JSON: scores by ratio, yardsticks, ceiling, answer."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from napari_sparsessp import __version__
from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.means import mean_fields
from napari_sparsessp.evaluation.planes_needed import Point, answer, planes_needed
from napari_sparsessp.evaluation.yardsticks import YARDSTICKS
from napari_sparsessp.prediction.report import ModelId
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.structures import structure_or_custom

if TYPE_CHECKING:
    import numpy as np

    from napari_sparsessp.evaluation.sweep import PlannedRun, RatioResult


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class PhaseScores(BaseModel):
    """Scores of one phase; see `sweep.Phase`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    phase: int
    measured_planes: tuple[int, ...]
    seconds: float
    structures: dict[str, dict[str, Any]]


class RatioScores(BaseModel):
    """Scores of one ratio.

    Attributes
    ----------
    ratio, planes : int
    structures : dict
        Structure id to scores; means over phases where there are several.
    means : dict
        ``over_images`` (one structure of one stack is one image) and
        ``over_structures``; with one stack they are alike.
    phases : tuple of PhaseScores
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    ratio: int
    planes: int
    structures: dict[str, dict[str, Any]]
    means: dict[str, dict[str, float | None]]
    phases: tuple[PhaseScores, ...]


class Yardsticks(BaseModel):
    """What does not depend on any model.

    Attributes
    ----------
    trivial : dict
        Structure id to yardstick to scores.
    ceiling : dict
        Structure id to the best scores that a noise-free prediction could reach;
        None where it cannot be estimated.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    trivial: dict[str, dict[str, dict[str, Any]]]
    ceiling: dict[str, dict[str, float | None] | None]


class SweepReport(BaseModel):
    """Everything a sweep found; `to_json` gives its JSON.

    Attributes
    ----------
    schema_version : int
        ``schema`` in JSON.
    kind : str
    package, created, model, input
        As in the report of a run.
    finished : bool
        Whether every ratio asked for is there.
    request : PredictionRequest
        Of the first ratio.
    device, precision : str
    depth : int
        Planes of the dense stack.
    voxel_size : tuple of float
        (z, y, x) of the grid on which everything is scored, µm.
    tolerance : float
    answer : str
        How many planes are needed, in words.
    planes_needed : dict
        Structure id to the fewest planes whose R² is within the tolerance of that of
        the densest stack; None where even that is no better than a trivial predictor,
        or nothing sparser was measured.
    ratios : tuple of RatioScores
        Ascending.
    yardsticks : Yardsticks
    warnings : tuple of str
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: int = Field(1, alias="schema")
    kind: str = "sweep"
    package: str = __version__
    created: str = Field(default_factory=_now)
    model: ModelId
    input: str
    finished: bool
    request: PredictionRequest
    device: str
    precision: str
    depth: int
    voxel_size: tuple[float, float, float]
    tolerance: float
    answer: str
    planes_needed: dict[str, int | None]
    ratios: tuple[RatioScores, ...]
    yardsticks: Yardsticks
    warnings: tuple[str, ...]

    def to_json(self, indent: int | None = 2) -> str:
        """Give the report as JSON text."""
        return self.model_dump_json(by_alias=True, indent=indent)

    @property
    def structures(self) -> tuple[str, ...]:
        """Ids of the scored structures."""
        return tuple(self.yardsticks.trivial)

    def curve(self, score: str, structure: str | None = None) -> list[Point]:
        """Give a score over the ratios.

        Parameters
        ----------
        score : str
            Field of the report, for example ``"r2"``.
        structure : str, optional
            The mean over structures where it is left out.
        """
        return [
            Point(
                one.ratio,
                one.planes,
                one.means["over_structures"].get(score)
                if structure is None
                else one.structures[structure].get(score),
            )
            for one in self.ratios
        ]


def measure_yardsticks(
    run: "PlannedRun",
) -> tuple[Yardsticks, dict[str, "np.ndarray"], "np.ndarray"]:
    """Score the trivial predictors and estimate the ceilings.

    Parameters
    ----------
    run : PlannedRun
        Of phase 0; its grid and truths count.

    Returns
    -------
    yardsticks : Yardsticks
    truth : dict
        Structure id to its z-scored truth on the grid, (D, H, W).
    light : ndarray
        The transmitted light on the same grid.
    """
    from napari_sparsessp.evaluation.ceiling import noise_ceiling
    from napari_sparsessp.evaluation.sweep import light_of
    from napari_sparsessp.evaluation.yardsticks import score_yardsticks
    from napari_sparsessp.prediction.alignment import onto_grid
    from napari_sparsessp.prediction.truth import align_truth

    plan = run.plan
    transmitted = light_of(run)
    truth = align_truth(plan, None)
    ceilings: dict[str, dict[str, float | None] | None] = {}
    for name, volume in plan.truth.items():
        try:
            ceilings[name] = noise_ceiling(volume, plan.grid).scores()
        except InputError:  # too small an image for an estimate; scores stand alone
            ceilings[name] = None
    trivial = score_yardsticks(transmitted, truth, plan.grid)
    light = onto_grid(transmitted, plan.grid)
    return Yardsticks(trivial=trivial, ceiling=ceilings), truth, light


def sweep_report(
    results: Sequence["RatioResult"],
    runs: Sequence["PlannedRun"],
    yardsticks: Yardsticks,
    tolerance: float,
) -> SweepReport:
    """Put together what is known after some ratios, or after all.

    Parameters
    ----------
    results : sequence of RatioResult
        At least one.
    runs : sequence of PlannedRun
        All that were planned.
    yardsticks : Yardsticks
    tolerance : float
        R² that may be lost by leaving planes out.
    """
    first = results[0].report
    report = SweepReport(
        model=first.model,
        input=first.input,
        finished={one.ratio for one in results} == {run.ratio for run in runs},
        request=first.request,
        device=first.device,
        precision=first.precision,
        depth=runs[0].volume.shape[0],
        voxel_size=first.voxel_size,
        tolerance=tolerance,
        answer="",
        planes_needed={},
        ratios=tuple(_of_ratio(one) for one in results),
        yardsticks=yardsticks,
        warnings=tuple(
            dict.fromkeys(text for one in results for text in one.report.warnings)
        ),
    )
    needed = {name: _needed(report, name) for name in report.structures}
    return report.model_copy(
        update={"answer": _answer(report), "planes_needed": needed}
    )


def _of_ratio(result: "RatioResult") -> RatioScores:
    scores = result.structures
    return RatioScores(
        ratio=result.ratio,
        planes=result.planes,
        structures=scores,
        means=mean_fields([scores]),
        phases=tuple(
            PhaseScores(
                phase=phase.phase,
                measured_planes=phase.measured_planes,
                seconds=phase.seconds,
                structures=phase.structures,
            )
            for phase in result.phases
        ),
    )


def _needed(report: SweepReport, structure: str) -> int | None:
    if len(report.ratios) < 2:
        return None
    need = planes_needed(report.curve("r2", structure), report.tolerance)
    trivial = report.yardsticks.trivial[structure].values()
    bar = max([0.0, *(one["r2"] for one in trivial if one["r2"] is not None)])
    if need is None or need.densest.value is None or need.densest.value <= bar:
        return None
    return need.fewest.planes


def reference_scores(report: SweepReport, score: str) -> dict[str, float | None]:
    """Give what a score is read by: its mean over structures.

    Returns
    -------
    dict
        Name of each yardstick, and ``ceiling``.
    """
    sticks, names = report.yardsticks, report.structures
    fields: dict[str, dict[str, dict[str, Any]]] = {
        which: {name: sticks.trivial[name][which] for name in names}
        for which in YARDSTICKS
    }
    fields["ceiling"] = {name: sticks.ceiling[name] or {} for name in names}
    return {
        which: mean_fields([one])["over_structures"].get(score)
        for which, one in fields.items()
    }


def _answer(report: SweepReport) -> str:
    names = report.structures
    what = (
        structure_or_custom(names[0]).label
        if len(names) == 1
        else f"the mean of {len(names)} structures"
    )
    r2 = reference_scores(report, "r2")
    best = {
        f"the yardstick “{label}”": r2[which]
        for which, (label, _) in YARDSTICKS.items()
    }
    curves = report.curve("r2"), report.curve("pcc_plane")
    pattern = reference_scores(report, "pcc_plane")
    known = [pattern[which] for which in YARDSTICKS]
    strongest = max([0.0, *(value for value in known if value is not None)])
    return answer(*curves, report.tolerance, what, best, strongest)

"""The result of a sweep as JSON: scores by ratio, yardsticks, ceiling, answer."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_sparsessp import __version__
from napari_sparsessp.errors import InputError
from napari_sparsessp.evaluation.means import mean_fields
from napari_sparsessp.evaluation.planes_needed import (
    KeepShare,
    LoseAtMost,
    Point,
    Rule,
)
from napari_sparsessp.evaluation.sweep_verdict import judged
from napari_sparsessp.prediction.report import ModelId
from napari_sparsessp.prediction.request import PredictionRequest

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
        Structure id to yardstick to scores; none against the dense prediction.
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
    reference : {"truth", "dense prediction"}
        What everything is scored against.
    share : float or None
        Of the densest stack's score that is to be kept, or
    tolerance : float or None
        how much of it may be lost; one of the two says what is enough.
    answer : str
        How many planes are needed, in words.
    planes_needed : dict
        Structure id to the fewest planes whose R² is enough; None where even that of
        the densest stack is no better than a trivial predictor's, or nothing sparser
        was measured.
    ratio_needed : int or None
        The ratio that `answer` names: by the mean R² over structures, else by their
        pattern; None where neither can tell.
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
    reference: Literal["truth", "dense prediction"] = "truth"
    share: float | None = None
    tolerance: float | None = None
    answer: str
    planes_needed: dict[str, int | None]
    ratio_needed: int | None = None
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

    @property
    def against_dense(self) -> bool:
        """Whether the model is held against itself, not against a truth."""
        return self.reference == "dense prediction"

    @property
    def rule(self) -> Rule:
        """What is enough."""
        if self.tolerance is not None:
            return LoseAtMost(self.tolerance)
        return KeepShare() if self.share is None else KeepShare(self.share)

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
        Structure id to its z-scored truth on the grid, (D, H, W); empty where the dense
        prediction will take its place, and no yardstick is measured then.
    light : ndarray
        The transmitted light on the same grid.
    """
    from napari_sparsessp.evaluation.ceiling import noise_ceiling
    from napari_sparsessp.evaluation.sweep import light_of
    from napari_sparsessp.evaluation.yardsticks import score_yardsticks
    from napari_sparsessp.prediction.scoring import align_truth, onto_grid

    plan = run.plan
    transmitted = light_of(run)
    if not run.truth:
        names = plan.structures
        nothing = Yardsticks(
            trivial={name: {} for name in names}, ceiling=dict.fromkeys(names)
        )
        return nothing, {}, onto_grid(transmitted, plan.grid)
    truth = align_truth(plan.truth, plan.grid, None)
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
    rule: Rule | None = None,
) -> SweepReport:
    """Put together what is known after some ratios, or after all.

    Parameters
    ----------
    results : sequence of RatioResult
        At least one.
    runs : sequence of PlannedRun
        All that were planned.
    yardsticks : Yardsticks
    rule : KeepShare or LoseAtMost, optional
        What is enough; ``KeepShare()`` where it is left out.
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
        reference="truth" if runs[0].truth else "dense prediction",
        answer="",
        planes_needed={},
        ratios=tuple(_of_ratio(one) for one in results),
        yardsticks=yardsticks,
        warnings=tuple(
            dict.fromkeys(text for one in results for text in one.report.warnings)
        ),
    )
    return judged(report, rule or KeepShare())


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

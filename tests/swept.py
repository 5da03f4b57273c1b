"""Reports of sweeps that nobody swept: R² by structure and ratio as a test wants it."""

from napari_sparsessp.evaluation.sampling_advice import KeepShare
from napari_sparsessp.evaluation.sweep_report import (
    Baselines,
    RatioScores,
    SweepReport,
    judged,
)
from napari_sparsessp.prediction.request import PredictionRequest

RATIOS = (1, 2, 4, 8)
DEPTH = 32


def report_of(
    r2, *, reference="truth", finished=True, trivial=0.1, pattern=0.7, spread=None
):
    """A report with these R²; `spread` gives each ratio a second, lower start."""
    count = len(next(iter(r2.values())))
    ratios = []
    for index, ratio in enumerate(RATIOS[:count]):
        scores = {
            name: {"r2": values[index], "pcc": 0.8, "pcc_plane": pattern - 0.01 * index}
            for name, values in r2.items()
        }
        phases = [_phase(ratio, 0, scores)]
        if spread and ratio > 1:
            low = {
                name: {**one, "r2": one["r2"] - spread} for name, one in scores.items()
            }
            phases.append(_phase(ratio, 1, low))
        both = {
            field: _mean([one[field] for one in scores.values()])
            for field in ("r2", "pcc", "pcc_plane")
        }
        ratios.append(
            RatioScores(
                ratio=ratio,
                planes=DEPTH // ratio,
                structures=scores,
                means={"over_images": both, "over_structures": both},
                phases=tuple(phases),
            )
        )
    own = reference == "dense prediction"
    sticks = {} if own else {"input": {"r2": trivial, "pcc_plane": 0.05}}
    report = SweepReport(
        model={"id": "small", "sha256": "abc"},
        input="stack.ome.tif",
        finished=finished,
        request=PredictionRequest(),
        device="cpu",
        precision="fp32",
        depth=DEPTH,
        voxel_size=(0.29, 0.29, 0.29),
        reference=reference,
        answer="",
        planes_needed={},
        ratios=tuple(ratios),
        baselines=Baselines(
            trivial=dict.fromkeys(r2, sticks), ceiling=dict.fromkeys(r2)
        ),
        warnings=(),
    )
    return judged(report, KeepShare())


def _phase(ratio, phase, scores):
    return {
        "phase": phase,
        "measured_planes": tuple(range(phase, DEPTH, ratio)),
        "seconds": 8.0 / ratio,
        "structures": scores,
    }


def _mean(values):
    return None if None in values else sum(values) / len(values)

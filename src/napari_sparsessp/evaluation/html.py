"""Write a sweep or a comparison as one HTML page that needs nothing else.

Text comes from ``templates/report.html.j2``; figures and planes travel inside the page.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.evaluation import figures
from napari_sparsessp.evaluation.agreement import ComparisonReport, aligned
from napari_sparsessp.evaluation.baselines import BASELINES
from napari_sparsessp.evaluation.figures import ERROR_LIMIT, TOO_HIGH, TOO_LOW
from napari_sparsessp.evaluation.sampling_advice import SELF_CONSISTENCY, Rule
from napari_sparsessp.evaluation.sweep import (
    PlannedRun,
    RatioResult,
    measure_baselines,
    sweep_report,
)
from napari_sparsessp.evaluation.sweep_report import SweepReport
from napari_sparsessp.files import atomic_write
from napari_sparsessp.metrics import iqr_units
from napari_sparsessp.resampling import resample_yx
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGET = 40_000_000
"""Pixels on one page, some 10 MB; more planes than fit are left out evenly."""

FEWEST_PLANES = 12

COLUMNS = {
    "r2": "R²",
    "r2_fitted": "R², contrast fitted",
    "mse": "MSE",
    "mae": "MAE",
    "pcc": "PCC",
    "pcc_plane": "PCC in planes",
    "ssim": "SSIM",
}
"""Heading by score."""

Row = tuple[str, str, Sequence[str]]
"""Class, label and cells."""


@dataclass(eq=False)
class Gallery:
    """Planes as small pictures for a page: light, truth, prediction and error, by z."""

    light: np.ndarray  # (D, H, W), the transmitted light
    # Structure id to its z-scored truth, (D, H, W) on the same grid; planes may be NaN
    truth: Mapping[str, np.ndarray]
    ratios: int  # How many predictions will come
    in_iqrs: bool = False  # They are interquartile ranges above the truth's median
    planes: list[int] = field(init=False)  # Those that are shown
    # (kind, structure, ratio) to one data URI a plane; kinds are `light`, `truth`,
    # `same` (prediction with the truth's contrast), `own` (with its own) and `error`
    pictures: dict[tuple[str, str, int], list[str]] = field(init=False)

    def __post_init__(self) -> None:
        """Choose planes and size, and draw what does not depend on a ratio."""
        depth, height, width = self.light.shape
        stacks = 1 + len(self.truth) * (1 + 3 * self.ratios)
        fitting = BUDGET // (stacks * height * width)
        count = min(depth, max(FEWEST_PLANES, fitting))
        self.planes = sorted({round(z) for z in np.linspace(0, depth - 1, count)})
        self._shrink = min(1.0, (fitting / count) ** 0.5)
        self._limits = {
            name: figures.contrast(stack) for name, stack in self.truth.items()
        }
        self.pictures = {
            ("light", "", 0): self._draw(self.light, figures.contrast(self.light))
        }
        for name, stack in self.truth.items():
            self.pictures["truth", name, 0] = self._draw(
                stack, self._limits[name], name
            )

    def release(self) -> None:
        """Keep the pictures and the shape, not the volumes; nothing can be added."""
        self.light = np.broadcast_to(np.float32(0), self.light.shape)
        self.truth = {}

    def add(
        self,
        ratio: int,
        prediction: Mapping[str, Any],
        progress: Progress = no_progress,
    ) -> None:
        """Draw a prediction, structure id to stack; one is read at a time."""
        for done, (name, truth) in enumerate(self.truth.items()):
            planes = (prediction[name][z] for z in range(len(truth)))
            stack = np.stack([np.asarray(plane, np.float32) for plane in planes])
            if self.in_iqrs:
                gain, offset = iqr_units(truth)
                stack = stack * np.float32(gain) + np.float32(offset)
            for kind, limits in (
                ("same", self._limits[name]),
                ("own", figures.contrast(stack)),
            ):
                progress(done, len(self.truth), name)
                self.pictures[kind, name, ratio] = self._draw(stack, limits, name)
            progress(done, len(self.truth), name)
            errors = (self._sized(stack[z] - truth[z]) for z in self.planes)
            self.pictures["error", name, ratio] = [_error_uri(e) for e in errors]

    def _draw(
        self, stack: np.ndarray, limits: figures.Limits, structure: str = ""
    ) -> list[str]:
        return [self._coloured(stack[z], limits, structure) for z in self.planes]

    def _coloured(
        self, plane: np.ndarray, limits: figures.Limits, structure: str
    ) -> str:
        share = (self._sized(plane) - limits[0]) / (limits[1] - limits[0])
        share = np.clip(np.nan_to_num(share), 0, 1)
        colour = structure_or_custom(structure).colour if structure else "#ffffff"
        return _picture_uri(share[..., None] * np.array(figures.rgb(colour)))

    def _sized(self, plane: np.ndarray) -> np.ndarray:
        if self._shrink == 1.0:
            return plane
        size = tuple(max(1, round(extent * self._shrink)) for extent in plane.shape)
        steps = tuple(old / new for old, new in zip(plane.shape, size, strict=True))
        return resample_yx(plane[None], (1.0, 1.0), steps, size)[0]


def _error_uri(error: np.ndarray) -> str:
    share = np.clip(np.nan_to_num(error) / ERROR_LIMIT, -1, 1)
    side = np.where(share[..., None] < 0, TOO_LOW, TOO_HIGH)
    return _picture_uri(255 + np.abs(share)[..., None] * (side - 255.0))


def _picture_uri(colours: np.ndarray) -> str:
    """Encode an (H, W, 3) picture so that it travels inside the page."""
    from PIL import Image, features

    # Browsers since 2020 read WebP, at a quarter of PNG's size.
    kind = "webp" if features.check("webp") else "png"
    options = {"quality": 85} if kind == "webp" else {"optimize": True}
    content = io.BytesIO()
    picture = Image.fromarray(colours.round().astype(np.uint8), "RGB")
    picture.save(content, kind, **options)
    return figures.data_uri(kind, content.getvalue())


class SweepResults:
    """Collect the ratios of a sweep as they come; keep scores and small pictures.

    Reads the stack and its truths, and scores the baselines.
    """

    def __init__(self, runs: Sequence[PlannedRun], pictures: bool) -> None:
        self.runs = tuple(runs)
        self.results: list[RatioResult] = []
        self.gallery: Gallery | None = None
        self._light: np.ndarray | None = None
        self._drawn = 0
        self._count = len({run.ratio for run in self.runs})
        self.baselines, truth, light = measure_baselines(self.runs[0])
        if pictures and truth:
            in_iqrs = runs[0].plan.card.units == "iqr"
            self.gallery = Gallery(light, truth, self._count, in_iqrs)
        elif pictures:
            self._light = light  # until the dense prediction is there

    @property
    def finished(self) -> bool:
        """Whether every ratio that was planned is there."""
        return len(self.results) == self._count

    @property
    def drawn(self) -> bool:
        """Whether every ratio that is there has its pictures."""
        return self.gallery is not None and self._drawn == len(self.results) > 0

    def add(self, result: RatioResult, prediction: Volume) -> None:
        """Take and draw a ratio of `run_sweep`; the first comes first."""
        self.take(result)
        self.draw(result.scores.ratio, prediction)

    def take(self, result: RatioResult) -> None:
        """Take the scores of a ratio."""
        self.results.append(result)

    def draw(
        self, ratio: int, prediction: Volume, progress: Progress = no_progress
    ) -> None:
        """Draw a ratio whose scores were taken, where pictures were asked for."""
        stacks = dict(zip(prediction.channel_names, prediction.array, strict=True))
        if self._light is not None:
            self.gallery = Gallery(self._light, stacks, self._count)
            self._light = None
        if self.gallery is None:
            return
        self.gallery.add(ratio, stacks, progress)
        self._drawn += 1
        if self.finished:
            self.gallery.release()

    def report(self, rule: Rule | None = None) -> SweepReport:
        """Return the report so far; there is at least one result by then."""
        return sweep_report(self.results, self.runs, self.baselines, rule)

    def write_page(self, path: Path, rule: Rule | None = None) -> None:
        """Write the page so far; it needs pictures."""
        assert self.gallery is not None, "no pictures were asked for"
        write_sweep_page(self.report(rule), self.gallery, path)


def write_sweep_page(report: SweepReport, gallery: Gallery, path: Path) -> None:
    """Write the page of a sweep, in one step."""
    with atomic_write(path, "page") as part:
        part.write_text(sweep_page(report, gallery), encoding="utf-8")


def write_comparison_page(report: ComparisonReport, path: Path) -> None:
    """Write the page of a comparison, in one step."""
    text = comparison_page(report)
    with atomic_write(path, "page") as part:
        part.write_text(text, encoding="utf-8")


def sweep_page(report: SweepReport, gallery: Gallery) -> str:
    """Return the page of a sweep as HTML text; every value in it is escaped."""
    name = Path(report.input).name
    dense = report.against_dense
    needed = ", ".join(
        f"{structure_or_custom(structure).label} {'–' if planes is None else planes}"
        for structure, planes in report.planes_needed.items()
    )
    several = len(report.structures) > 1
    note = f"Planes needed by structure (–: no better than trivial): {needed}."
    columns = ["", *COLUMNS.values()]
    tables: list[tuple[str, Sequence[str], list[Row]]] = [
        (structure_or_custom(name).label, columns, _score_rows(report, name))
        for name in report.structures
    ]
    if several:
        keys = [key for key in COLUMNS if key != "r2_fitted"]
        rows: list[Row] = []
        for step in report.ratios:
            means = step.means["over_structures"]
            label = f"r = {step.ratio}, {step.planes} planes"
            rows.append(("", label, [_number(means.get(key)) for key in keys]))
        heading = f"Mean of {len(report.structures)} structures"
        tables.append((heading, ["", *(COLUMNS[key] for key in keys)], rows))
    return _page(
        gallery,
        figures.sweep_figure(report),
        report.voxel_size,
        sweep=True,
        title=f"Sweep of {name}",
        question="How many planes do I need?",
        about=[name, f"model {report.model.id}", report.created],
        answer=report.answer,
        answer_note=note if several else "",
        unfinished=not report.finished,
        curves_alt="R² over the sparsity ratio, and along z",
        ratios=[(step.ratio, step.planes) for step in report.ratios],
        names=report.structures,
        light="Transmitted light, every plane",
        truth="predicted from every plane" if dense else "truth",
        reference=report.reference,
        self_consistency=SELF_CONSISTENCY if dense else "",
        baselines=BASELINES.values(),
        tables=tables,
        provenance=_sweep_provenance(report),
        unit="µm",
        measured={s.ratio: s.phases[0].measured_planes for s in report.ratios},
        r2={
            name: {
                step.ratio: step.phases[0].structures[name].get("r2_per_plane", [])
                for step in report.ratios
            }
            for name in report.structures
        },
    )


def comparison_page(report: ComparisonReport) -> str:
    """Return the page of a comparison as HTML text; every value in it is escaped."""
    first = report.items[0].prediction
    scores = report.scores()
    light = figures.light_stack(report)
    both = {item.name: aligned(item.truth, item.prediction) for item in report.items}
    blank = np.zeros(first.shape, np.float32)
    truths = {name: truth for name, (truth, _) in both.items()}
    gallery = Gallery(blank if light is None else light, truths, 1)
    gallery.add(1, {name: predicted for name, (_, predicted) in both.items()})
    known = [its["r2"] for its in scores.values() if its["r2"] is not None]
    mean = _number(float(np.mean(known))) if known else "–"
    count = len(scores)
    when = [] if report.time is None else [f"time point {report.time + 1}"]
    columns = {key: text for key, text in COLUMNS.items() if key != "r2_fitted"}
    order = ("r2", "pcc", "pcc_plane", "ssim", "mse", "mae")
    rows: list[Row] = [
        ("", structure_or_custom(name).label, [_number(its.get(key)) for key in order])
        for name, its in scores.items()
    ]
    measured = None if report.measured is None else list(report.measured)
    return _page(
        gallery,
        figures.comparison_curves(report),
        first.voxel_size or (1.0, 1.0, 1.0),
        sweep=False,
        title=f"Comparison of {report.input}",
        question="How good is the prediction?",
        about=[report.input, report.model, *when],
        answer=f"R² {mean}" + f", mean of {count} structures" * (count > 1),
        curves_alt="R² over the planes, and predicted against true values",
        # The script tells predictions apart by ratio; here is a single one.
        ratios=[(1, len(gallery.planes))],
        names=tuple(scores),
        light="Transmitted light",
        truth="truth",
        reference="truth",
        tables=[("", ["", *(columns[key] for key in order)], rows)],
        provenance=_comparison_provenance(report),
        unit=report.unit,
        measured={1: measured},
        r2={name: {1: its.get("r2_per_plane", [])} for name, its in scores.items()},
    )


def _page(
    gallery: Gallery,
    curves: Figure,
    voxel: tuple[float, float, float],
    *,
    names: Sequence[str],
    unit: str,
    measured: Mapping[int, Any],
    r2: Mapping[str, Any],
    **values: Any,
) -> str:
    """Fill the template; `values` are its variables of the same names."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(
        loader=PackageLoader("napari_sparsessp.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}
    width = gallery.light.shape[2] * voxel[2]
    length = max((n for n in figures.SCALES if n <= width / 3), default=1)
    data = {
        "planes": gallery.planes,
        "depth": len(gallery.light),
        "step": voxel[0],
        "unit": unit,
        "measured": measured,
        "r2": r2,
        "pictures": {
            "|".join(map(str, key)): uris for key, uris in gallery.pictures.items()
        },
    }
    return environment.get_template("report.html.j2").render(
        data=data,
        curves_uri=figures.figure_uri(curves),
        last=len(gallery.planes) - 1,
        left_out=len(gallery.light) - len(gallery.planes),
        structures=[(name, structure_or_custom(name).label) for name in names],
        scale={"length": length, "percent": f"{100 * length / width:.2f}"},
        error_limit=f"{ERROR_LIMIT:g}",
        **values,
    )


def _score_rows(report: SweepReport, name: str) -> list[Row]:
    rows: list[Row] = []
    for step in report.ratios:
        scores = step.structures[name]
        label = f"r = {step.ratio}, {step.planes} planes"
        if len(step.phases) > 1:
            label += f", mean of {len(step.phases)} starts"
        rows.append(("", label, [_number(scores.get(key)) for key in COLUMNS]))
    for which, (label, _) in BASELINES.items():
        known = report.baselines.trivial[name].get(which)
        if known is not None:
            cells = [_number(known.get(key)) for key in COLUMNS]
            rows.append(("baseline", label, cells))
    ceiling = report.baselines.ceiling[name]
    if ceiling is not None:
        # No line can better the structure itself; what is left of it is noise.
        best = {**ceiling, "r2_fitted": ceiling["r2"], "mse": ceiling["noise_share"]}
        cells = [_number(best.get(key)) for key in COLUMNS]
        if ceiling["r2_careful"] is not None:
            cells[0] += f" ({_number(ceiling['r2_careful'])})"
        rows.append(("ceiling", "noise ceiling", cells))
    return rows


def _sweep_provenance(report: SweepReport) -> dict[str, str]:
    seconds = sum(phase.seconds for step in report.ratios for phase in step.phases)
    voxel = " × ".join(f"{step:.4g}" for step in report.voxel_size)
    return {
        "input": report.input,
        "planes of the stack": str(report.depth),
        "scored on voxels of": f"{voxel} µm (z, y, x)",
        "model": f"{report.model.id}, sha256 {report.model.sha256}",
        "napari-sparsessp": report.package,
        "made": report.created,
        "device": f"{report.device}, {report.precision}; {seconds:.1f} s in all",
        "scored against": report.reference,
        "not enough is what": report.rule.missed,
        "warnings": "\n".join(report.warnings) or "none",
        "request": report.request.model_dump_json(indent=1, exclude_defaults=True),
    }


def _comparison_provenance(report: ComparisonReport) -> dict[str, str]:
    about: dict[str, Any] = dict(report.provenance)
    model = about.get("model") or {}
    seconds = (about.get("seconds") or {}).get("total")
    voxel = report.items[0].prediction.voxel_size or ()
    truths = "\n".join(
        f"{structure_or_custom(item.name).label}: {item.truth_name}"
        for item in report.items
    )
    rows = {
        "input": str(about.get("input") or report.input),
        "truth": truths,
        "model": f"{model.get('id', report.model)}"
        + (f", sha256 {model['sha256']}" if model.get("sha256") else ""),
        "made for": str(about.get("made_for", "")),
        "compared on voxels of": " × ".join(f"{step:.4g}" for step in voxel)
        + f" {report.unit}",
        "napari-sparsessp": str(about.get("package", "")),
        "made": str(about.get("created", "")),
        "device": f"{about.get('device', '')} {about.get('precision', '')}".strip(),
        "predicted in": "" if seconds is None else f"{seconds:.1f} s",
        "notes": "\n".join(report.notes()) or "none",
    }
    return {key: value for key, value in rows.items() if value.strip()}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("-", "−")

"""A sweep as one page that needs nothing else: figures, tables, planes to look at."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from napari_sparsessp.evaluation.gallery import ERROR_LIMIT, Gallery
from napari_sparsessp.evaluation.page_parts import (
    document,
    number,
    pictures,
    provenance,
    table,
)
from napari_sparsessp.evaluation.planes_needed import SELF_CONSISTENCY
from napari_sparsessp.evaluation.sweep_figure import figure_png
from napari_sparsessp.evaluation.sweep_report import SweepReport
from napari_sparsessp.evaluation.yardsticks import YARDSTICKS
from napari_sparsessp.files import atomic_write
from napari_sparsessp.structures import structure_or_custom

COLUMNS = {
    "r2": "R²",
    "r2_fitted": "R², contrast fitted",
    "mse": "MSE",
    "mae": "MAE",
    "pcc": "Pearson",
    "pcc_plane": "Pearson in planes",
    "ssim": "SSIM",
}
"""Heading by score."""

_LIGHT = "Transmitted light, every plane"

_READING = f"""
<p class="note">R², MSE and MAE are taken over all voxels in units of the z-scored
truth; nothing is refitted. R² is 1 for a perfect prediction, 0 for a constant, and
negative where the prediction is worse than that. “Contrast fitted” is R² after the best
straight line (Pearson squared, 0 where that is negative): the difference is what
wrong brightness costs. A trend along z alone makes a good Pearson over the stack and
none within planes.</p>
<p class="note">Grey rows need no model: {{sticks}}. They see every plane. A score
in which the model does not beat them speaks against it.</p>
<p class="note">The noise ceiling is the score that the structure itself, without
camera noise, would reach against this truth: no prediction can be expected above it.
It is estimated from second differences along all axes and takes noise to be
independent between voxels; in an image that was denoised, deconvolved or interpolated
it comes out too high. In brackets: a careful estimate from neighbouring planes alone,
which takes fine structure along z for noise. Where both agree, trust them.</p>
<p class="note">Errors are drawn from −{ERROR_LIMIT:g} to +{ERROR_LIMIT:g} standard
deviations of the truth.</p>
"""


_SELF_READING = f"""
<p class="note">{SELF_CONSISTENCY} R² is 1 where a prediction from fewer planes is the
one from every plane, 0 where it is no better than a constant. MSE and MAE are in units
of the dense prediction's standard deviation. There are no yardsticks and no noise
ceiling: they need a truth.</p>
<p class="note">Errors are drawn from −{ERROR_LIMIT:g} to +{ERROR_LIMIT:g} standard
deviations of the dense prediction.</p>
"""


def write_page(report: SweepReport, gallery: Gallery, path: Path) -> None:
    """Write the page, in one step.

    Parameters
    ----------
    report : SweepReport
    gallery : Gallery
        With the predictions of the report's ratios.
    path : Path

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with atomic_write(path) as part:
        part.write_text(page(report, gallery), encoding="utf-8")


def page(report: SweepReport, gallery: Gallery) -> str:
    """Give the page as HTML text; every value in it is escaped."""
    figure = base64.b64encode(figure_png(report)).decode()
    width = gallery.light.shape[2] * report.voxel_size[2]
    reference = "predicted from every plane" if report.against_dense else "truth"
    early = "" if report.finished else " early"
    unfinished = (
        ""
        if report.finished
        else "<p>The sweep was stopped early: some ratios are missing.</p>"
    )
    sticks = "; ".join(
        f"<b>{escape(label)}</b>, {escape(knows)}"
        for label, knows in YARDSTICKS.values()
    )
    parts = (
        f"<h1>How many planes do I need?</h1>"
        f'<div class="faint">{escape(Path(report.input).name)} · model '
        f"{escape(report.model.id)} · {escape(report.created)}</div>",
        f'<div class="answer{early}">{escape(report.answer)}{_needed(report)}'
        f"{unfinished}</div>",
        f'<img class="figure" alt="R² over the sparsity ratio, and along z" '
        f'src="data:image/png;base64,{figure}">',
        "<h2>Look at it</h2>",
        _controls(report, gallery),
        *(pictures(name, width, _LIGHT, reference) for name in report.structures),
        "<h2>Scores</h2>",
        *(_scores(report, name) for name in report.structures),
        _mean_scores(report),
        "<h3>How to read them</h3>",
        _SELF_READING if report.against_dense else _READING.format(sticks=sticks),
        "<h2>Provenance</h2>",
        _provenance(report),
    )
    title = f"Sweep of {Path(report.input).name}"
    return document(title, parts, _data(report, gallery))


def _needed(report: SweepReport) -> str:
    """The answer for each structure, where there are several."""
    if len(report.structures) < 2:
        return ""
    each = ", ".join(
        f"{structure_or_custom(name).label} {'–' if planes is None else planes}"
        for name, planes in report.planes_needed.items()
    )
    text = f"Planes needed by structure (–: no better than trivial): {each}."
    return f'<div class="note">{escape(text)}</div>'


def _controls(report: SweepReport, gallery: Gallery) -> str:
    last = len(gallery.planes) - 1
    buttons = " ".join(
        f'<label><input type="radio" name="ratio" value="{one.ratio}"'
        f"{' checked' if one is report.ratios[0] else ''}> r = {one.ratio} "
        f"({one.planes} planes)</label>"
        for one in report.ratios
    )
    left_out = len(gallery.light) - len(gallery.planes)
    which = "dense prediction" if report.against_dense else "truth"
    note = f" {left_out} planes are not shown to keep the page small." * (left_out > 0)
    return (
        f'<div class="bar"><label>z <input type="range" id="z" min="0" max="{last}" '
        f'value="{last // 2}"></label><output id="where"></output>'
        f"<span>{buttons}</span>"
        '<label><input type="checkbox" id="own"> stretch the prediction\'s contrast'
        f'</label></div><p class="note">{which.capitalize()} and prediction share the '
        f"{which}'s contrast unless it is stretched.{note}</p>"
    )


def _scores(report: SweepReport, name: str) -> str:
    rows: list[tuple[str, str, Sequence[str]]] = []
    for one in report.ratios:
        scores = one.structures[name]
        label = f"r = {one.ratio}, {one.planes} planes"
        if len(one.phases) > 1:
            label += f", mean of {len(one.phases)} starts"
        rows.append(("", label, [number(scores.get(key)) for key in COLUMNS]))
    for which, (label, _) in YARDSTICKS.items():
        known = report.yardsticks.trivial[name].get(which)
        if known is not None:
            cells = [number(known.get(key)) for key in COLUMNS]
            rows.append(("stick", label, cells))
    ceiling = report.yardsticks.ceiling[name]
    if ceiling is not None:
        # No line can better the structure itself; what is left of it is noise.
        best = {**ceiling, "r2_fitted": ceiling["r2"], "mse": ceiling["noise_share"]}
        cells = [number(best.get(key)) for key in COLUMNS]
        if ceiling["r2_careful"] is not None:
            cells[0] += f" ({number(ceiling['r2_careful'])})"
        rows.append(("ceiling", "noise ceiling", cells))
    return f"<h3>{escape(structure_or_custom(name).label)}</h3>" + table(
        ["", *COLUMNS.values()], rows
    )


def _mean_scores(report: SweepReport) -> str:
    if len(report.structures) < 2:
        return ""
    keys = [key for key in COLUMNS if key != "r2_fitted"]
    rows = [
        (
            "",
            f"r = {one.ratio}, {one.planes} planes",
            [number(one.means["over_structures"].get(key)) for key in keys],
        )
        for one in report.ratios
    ]
    return f"<h3>Mean of {len(report.structures)} structures</h3>" + table(
        ["", *(COLUMNS[key] for key in keys)], rows
    )


def _provenance(report: SweepReport) -> str:
    seconds = sum(phase.seconds for one in report.ratios for phase in one.phases)
    voxel = " × ".join(f"{step:.4g}" for step in report.voxel_size)
    rows = {
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
    return provenance(rows)


def _data(report: SweepReport, gallery: Gallery) -> dict[str, Any]:
    return {
        "planes": gallery.planes,
        "depth": len(gallery.light),
        "step": report.voxel_size[0],
        "unit": "µm",
        "measured": {one.ratio: one.phases[0].measured_planes for one in report.ratios},
        "r2": {
            name: {
                one.ratio: one.phases[0].structures[name].get("r2_per_plane", [])
                for one in report.ratios
            }
            for name in report.structures
        },
        "pictures": {
            "|".join(map(str, key)): uris for key, uris in gallery.pictures.items()
        },
    }

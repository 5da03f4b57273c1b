"""A comparison as one page that needs nothing else: planes, plots and scores."""

import base64
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparsessp.evaluation.agreement import aligned_truth
from napari_sparsessp.evaluation.findings import Findings
from napari_sparsessp.evaluation.findings_figure import curves_png, light_stack
from napari_sparsessp.evaluation.gallery import ERROR_LIMIT, Gallery
from napari_sparsessp.evaluation.page_parts import (
    document,
    number,
    pictures,
    provenance,
    table,
)
from napari_sparsessp.files import atomic_write
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.volume import Volume

_COLUMNS = {
    "r2": "R²",
    "pcc": "Pearson",
    "pcc_plane": "Pearson in planes",
    "ssim": "SSIM",
    "mse": "MSE",
    "mae": "MAE",
}

# The script of pages tells predictions apart by ratio; here is only one.
_ONE = 1

_READING = f"""<p class="note">R², MSE and MAE are taken over all voxels in units of the
z-scored truth; nothing is refitted. R² is 1 for a perfect prediction, 0 for a constant,
and negative where the prediction is worse than that. A trend along z alone makes a good
Pearson over the stack and none within planes. Errors are drawn from −{ERROR_LIMIT:g} to
+{ERROR_LIMIT:g} standard deviations of the truth.</p>"""


def write_page(findings: Findings, path: Path) -> None:
    """Write the page, in one step.

    Parameters
    ----------
    findings : Findings
    path : Path

    Raises
    ------
    InputError
        The two can no longer be compared.
    OutputError
        It cannot be written.
    """
    text = page(findings)
    with atomic_write(path, "page") as part:
        part.write_text(text, encoding="utf-8")


def page(findings: Findings) -> str:
    """Give the page as HTML text; every value in it is escaped."""
    gallery = _gallery(findings)
    first = findings.items[0].prediction
    voxel = first.voxel_size or (1.0, 1.0, 1.0)
    width = first.shape[2] * voxel[2]
    plots = base64.b64encode(curves_png(findings)).decode()
    scores = findings.scores()
    known = [one["r2"] for one in scores.values() if one["r2"] is not None]
    mean = number(float(np.mean(known))) if known else "–"
    count = len(scores)
    answer = f"R² {mean}" + (f", mean of {count} structures" if count > 1 else "")
    rows = [
        ("", structure_or_custom(name).label, [number(one.get(k)) for k in _COLUMNS])
        for name, one in scores.items()
    ]
    parts = (
        "<h1>How good is the prediction?</h1>"
        f'<div class="faint">{escape(findings.input)} · {escape(findings.model)}'
        f"{_when(findings)}</div>",
        f'<div class="answer">{escape(answer)}</div>',
        "<h2>Look at it</h2>",
        _controls(gallery),
        *(
            pictures(name, width, "Transmitted light", unit=findings.unit)
            for name in scores
        ),
        "<h2>Scores</h2>",
        table(["", *_COLUMNS.values()], rows),
        f'<img class="figure" alt="R² over the planes, and predicted against true '
        f'values" src="data:image/png;base64,{plots}">',
        _READING,
        "<h2>Provenance</h2>",
        provenance(_origin(findings)),
    )
    title = f"Comparison of {findings.input}"
    return document(title, parts, _data(findings, gallery, voxel[0]))


def _gallery(findings: Findings) -> Gallery:
    """Draw the planes; what was predicted is read one structure at a time."""
    import dask.array as da

    truths = {
        one.name: aligned_truth(one.truth, one.prediction) for one in findings.items
    }
    first = findings.items[0].prediction
    light = light_stack(findings)
    if light is None:
        light = np.zeros(first.shape, np.float32)
    gallery = Gallery(light, truths, 1)
    stacks = [
        da.from_array(one.prediction.array, chunks=first.shape)
        for one in findings.items
    ]
    gallery.add(_ONE, Volume(da.stack(stacks), "CZYX", None, tuple(truths)))
    return gallery


def _controls(gallery: Gallery) -> str:
    last = len(gallery.planes) - 1
    left_out = len(gallery.light) - len(gallery.planes)
    note = f" {left_out} planes are not shown to keep the page small." * (left_out > 0)
    return (
        f'<div class="bar"><label>z <input type="range" id="z" min="0" max="{last}" '
        f'value="{last // 2}"></label><output id="where"></output>'
        f'<input type="radio" name="ratio" value="{_ONE}" checked hidden>'
        '<label><input type="checkbox" id="own"> stretch the prediction\'s contrast'
        '</label></div><p class="note">Truth and prediction share the truth\'s '
        f"contrast unless it is stretched.{note}</p>"
    )


def _when(findings: Findings) -> str:
    return "" if findings.time is None else f" · time point {findings.time + 1}"


def _origin(findings: Findings) -> dict[str, str]:
    about: dict[str, Any] = dict(findings.provenance)
    model = about.get("model") or {}
    seconds = (about.get("seconds") or {}).get("total")
    voxel = findings.items[0].prediction.voxel_size or ()
    truths = "\n".join(
        f"{structure_or_custom(one.name).label}: {one.truth_name}"
        for one in findings.items
    )
    rows = {
        "input": str(about.get("input") or findings.input),
        "truth": truths,
        "model": f"{model.get('id', findings.model)}"
        + (f", sha256 {model['sha256']}" if model.get("sha256") else ""),
        "compared on voxels of": " × ".join(f"{one:.4g}" for one in voxel)
        + f" {findings.unit}",
        "napari-sparsessp": str(about.get("package", "")),
        "made": str(about.get("created", "")),
        "device": f"{about.get('device', '')} {about.get('precision', '')}".strip(),
        "predicted in": "" if seconds is None else f"{seconds:.1f} s",
        "notes": "\n".join(findings.notes()) or "none",
    }
    return {key: value for key, value in rows.items() if value.strip()}


def _data(findings: Findings, gallery: Gallery, step: float) -> dict[str, Any]:
    return {
        "planes": gallery.planes,
        "depth": len(gallery.light),
        "step": step,
        "unit": findings.unit,
        "measured": {
            _ONE: None if findings.measured is None else list(findings.measured)
        },
        "r2": {
            name: {_ONE: one.get("r2_per_plane", [])}
            for name, one in findings.scores().items()
        },
        "pictures": {
            "|".join(map(str, key)): uris for key, uris in gallery.pictures.items()
        },
    }

"""What a comparison found, as tables and reports that other programs read."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_sparsessp import __version__
from napari_sparsessp.evaluation.agreement import Agreement
from napari_sparsessp.volume import Volume

SCALARS = ("r2", "pcc", "pcc_plane", "ssim", "mse", "mae", "psnr", "nrmse")
"""Scores that are one number each, in the order of the table."""


@dataclass(frozen=True, eq=False)
class Finding:
    """One structure, held against its truth.

    Attributes
    ----------
    name : str
        Id of the structure.
    prediction, truth : Volume
        ZYX.
    truth_name : str
        Where the truth came from.
    agreement : Agreement
    """

    name: str
    prediction: Volume
    truth: Volume
    truth_name: str
    agreement: Agreement


@dataclass(frozen=True, eq=False)
class Findings:
    """All that was found for one model's predictions from one input.

    Attributes
    ----------
    items : tuple of Finding
    input, model : str
        For people.
    light : Volume or None
        The input, ZYX, where it is at hand.
    provenance : mapping
        How the prediction came about; a report without scores, or empty.
    measured : tuple of int or None
        Imaged planes on the prediction's grid; None where they are not known.
    time : int or None
        Of a time-lapse, the time point that was compared.
    unit : str
        Of all voxel sizes: ``"pixels"`` where nobody knows how large those are.
    """

    items: tuple[Finding, ...]
    input: str
    model: str
    light: Volume | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    measured: tuple[int, ...] | None = None
    time: int | None = None
    unit: str = "µm"

    def scores(self) -> dict[str, dict[str, Any]]:
        """Structure id to its scores."""
        return {one.name: one.agreement.scores for one in self.items}

    def notes(self) -> list[str]:
        """Everything to know before the numbers are used, each once."""
        told = [str(one) for one in self.provenance.get("warnings", ())]
        found = [note for one in self.items for note in one.agreement.notes]
        return list(dict.fromkeys([*told, *found]))


def report_json(findings: Findings) -> str:
    """Write the report in the form of a run's own, with what it was compared with.

    Parameters
    ----------
    findings : Findings

    Returns
    -------
    str
        JSON: the provenance, then ``structures`` with all scores, ``truth`` with the
        name of each truth, ``warnings``, and ``time`` of a time-lapse.
    """
    content: dict[str, Any] = {
        "schema": 1,
        "package": __version__,
        "input": findings.input,
        **findings.provenance,
        "structures": findings.scores(),
        "truth": {one.name: one.truth_name for one in findings.items},
        "warnings": findings.notes(),
    }
    if findings.time is not None:
        content["time"] = findings.time
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def table_csv(findings: Findings) -> str:
    """Write a line for each structure: its id, its truth and all single scores.

    Parameters
    ----------
    findings : Findings

    Returns
    -------
    str
        CSV with a heading; a score that is not defined is an empty cell.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("structure", "truth", *SCALARS))
    for one in findings.items:
        scores = one.agreement.scores
        cells = ["" if scores.get(key) is None else scores[key] for key in SCALARS]
        writer.writerow((one.name, one.truth_name, *cells))
    return text.getvalue()

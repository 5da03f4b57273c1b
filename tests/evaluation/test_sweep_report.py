"""The report of a sweep as a table for spreadsheets."""

import csv
import io

import pytest

from napari_sparsessp.evaluation.sweep_report import (
    CSV_COLUMNS,
    sweep_csv,
    write_sweep_csv,
)
from swept import report_of


def _rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_there_is_a_row_for_each_ratio_and_structure():
    report = report_of({"dna": (0.6, 0.59, 0.4), "golgi_apparatus": (0.3, 0.2, 0.1)})
    rows = _rows(sweep_csv(report, plane_ms=50, times=100))
    assert [(row["ratio"], row["structure"]) for row in rows][:3] == [
        ("1", "dna"),
        ("1", "golgi_apparatus"),
        ("2", "dna"),
    ]
    assert [row["enough"] for row in rows] == ["yes", "yes", "yes", "no", "no", "no"]
    last = rows[-1]
    assert (last["planes"], last["light_share"]) == ("8", "0.25")
    assert float(last["seconds_per_stack"]) == pytest.approx(0.4)
    assert float(last["seconds_per_series"]) == pytest.approx(40)
    assert tuple(last) == CSV_COLUMNS


def test_what_was_measured_stands_in_every_row():
    rows = _rows(
        sweep_csv(report_of({"dna": (1.0, 0.9)}, reference="dense prediction"))
    )
    assert {row["scored_against"] for row in rows} == {"dense prediction"}
    assert rows[0]["seconds_per_stack"] == "", "no exposure was given"
    assert rows[0]["ssim"] == "", "what is not defined is left empty"


def test_a_file_opens_in_a_spreadsheet(tmp_path):
    write_sweep_csv(report_of({"dna": (1.0, 0.9)}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes().startswith(b"\xef\xbb\xbfratio,")

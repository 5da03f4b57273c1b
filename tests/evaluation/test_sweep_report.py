"""The report of a sweep as a table for spreadsheets."""

import csv

import pytest

from napari_sparsessp.evaluation.sweep_report import CSV_COLUMNS, write_sweep_csv
from swept import report_of


@pytest.fixture
def rows(tmp_path):
    """Write a report as a table and read it again."""

    def written(report, **options):
        path = tmp_path / "t.csv"
        write_sweep_csv(report, path, **options)
        assert path.read_bytes().startswith(b"\xef\xbb\xbfratio,")
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    return written


def test_there_is_a_row_for_each_ratio_and_structure(rows):
    report = report_of({"dna": (0.6, 0.59, 0.4), "golgi_apparatus": (0.3, 0.2, 0.1)})
    found = rows(report, plane_ms=50, times=100)
    assert [(row["ratio"], row["structure"]) for row in found][:3] == [
        ("1", "dna"),
        ("1", "golgi_apparatus"),
        ("2", "dna"),
    ]
    assert [row["enough"] for row in found] == ["yes"] * 3 + ["no"] * 3
    last = found[-1]
    assert (last["planes"], last["light_share"]) == ("8", "0.25")
    assert float(last["seconds_per_stack"]) == pytest.approx(0.4)
    assert float(last["seconds_per_series"]) == pytest.approx(40)
    assert tuple(last) == CSV_COLUMNS


def test_what_was_measured_stands_in_every_row(rows):
    found = rows(report_of({"dna": (1.0, 0.9)}, reference="dense prediction"))
    assert {row["scored_against"] for row in found} == {"dense prediction"}
    assert found[0]["seconds_per_stack"] == "", "no exposure was given"
    assert found[0]["ssim"] == "", "what is not defined is left empty"

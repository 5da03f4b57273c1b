"""A comparison as table, report, page and figure."""

import csv
import io
import json

import numpy as np
import pytest

from napari_sparsessp import __version__
from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.evaluation.agreement import agreement
from napari_sparsessp.evaluation.findings import (
    SCALARS,
    Finding,
    Findings,
    report_json,
    table_csv,
)
from napari_sparsessp.evaluation.findings_figure import write_figure
from napari_sparsessp.evaluation.findings_page import page, write_page
from napari_sparsessp.metrics import zscore_truth
from napari_sparsessp.volume import Volume

SIZE = (0.29, 0.29, 0.29)
RNG = np.random.default_rng(1)


def finding(name, noise=0.4, depth=4):
    counts = RNG.gamma(2.0, 30.0, (depth, 16, 20)).astype(np.float32)
    found = zscore_truth(counts) + noise * RNG.standard_normal(counts.shape)
    truth = Volume(counts, "ZYX", SIZE)
    prediction = Volume(found.astype(np.float32), "ZYX", SIZE)
    return Finding(
        name, prediction, truth, f"{name}, truth", agreement(truth, prediction)
    )


@pytest.fixture(scope="module")
def findings():
    light = Volume(RNG.random((2, 16, 20)), "ZYX", (0.58, 0.29, 0.29))
    about = {
        "schema": 1,
        "package": __version__,
        "model": {"id": "thin", "sha256": "0" * 64},
        "input": "stack.ome.tif",
        "warnings": ["one thing to know"],
    }
    items = (finding("dna"), finding('<b>"odd"</b>', 3.0))
    return Findings(items, "stack", "thin", light, about, (0, 2))


def test_the_report_has_the_form_of_a_runs_own(findings):
    content = json.loads(report_json(findings))
    assert content["schema"] == 1
    assert content["model"]["id"] == "thin"
    assert content["structures"] == findings.scores()
    assert content["truth"]["dna"] == "dna, truth"
    assert "one thing to know" in content["warnings"]
    assert "time" not in content


def test_without_provenance_the_report_still_says_what_is_known():
    content = json.loads(report_json(Findings((finding("dna"),), "s", "", time=3)))
    assert content["package"] == __version__
    assert (content["input"], content["time"]) == ("s", 3)


def test_the_table_holds_every_single_score_with_all_digits(findings):
    rows = list(csv.DictReader(io.StringIO(table_csv(findings))))
    assert [row["structure"] for row in rows] == ["dna", '<b>"odd"</b>']
    for key in SCALARS:
        assert float(rows[0][key]) == findings.scores()["dna"][key]


def test_the_page_stands_alone_and_escapes_names(findings, tmp_path):
    text = page(findings)
    assert "<b>&quot;odd&quot;</b>" not in text
    assert '<b>"odd"</b>' not in text.replace("\\u003c", "&lt;")
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text
    for planes in ("light||0", "truth|dna|0", "same|dna|1", "error|dna|1"):
        assert f'"{planes}"' in text
    write_page(findings, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype")


def test_a_page_does_not_say_of_planes_what_nobody_knows():
    text = page(Findings((finding("dna"),), "s", "m"))
    assert '"measured": {"1": null}' in text


@pytest.mark.parametrize(
    ("ending", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_a_figure_is_what_its_ending_says(findings, tmp_path, ending, start):
    path = tmp_path / f"figure{ending}"
    write_figure(findings, 1, path)
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_a_figure_of_a_single_plane_needs_no_input(tmp_path):
    write_figure(Findings((finding("dna", depth=1),), "s", "m"), 0, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_what_cannot_be_drawn_says_so(findings, tmp_path):
    with pytest.raises(OutputError, match="ending"):
        write_figure(findings, 0, tmp_path / "figure.xyz")
    with pytest.raises(InputError, match="nothing is scored"):
        write_figure(Findings((), "s", "m"), 0, tmp_path / "figure.png")


def test_where_nobody_knows_how_large_pixels_are_no_micrometre_is_claimed():
    text = page(Findings((finding("dna"),), "s", "m", unit="pixels"))
    assert "µm" not in text
    assert '"unit": "pixels"' in text

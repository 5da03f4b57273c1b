"""The pages of a sweep and of a comparison: whole, safe and small."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from napari_sparsessp.evaluation import html
from napari_sparsessp.evaluation.agreement import ComparisonReport
from napari_sparsessp.evaluation.figures import ERROR_LIMIT, TOO_HIGH, TOO_LOW
from napari_sparsessp.evaluation.html import (
    Gallery,
    comparison_page,
    sweep_page,
    write_comparison_page,
    write_sweep_page,
)
from napari_sparsessp.prediction.request import PredictionRequest
from scored import ODD, comparison, scored
from swept import report_of

NASTY = "</script><script>alert(1)</script>"
DEPTH = 6


def _report(name="dna"):
    report = report_of({name: (0.5, 0.5)})
    best = {"r2": 0.8, "pcc": 0.9, "pcc_plane": None, "noise_share": 0.2}
    ceiling = {name: best | {"r2_careful": 0.79}}
    changes = {
        "input": f"/data/{NASTY}.tif",
        "request": PredictionRequest(input=NASTY),
        "answer": "3 of 6 planes & no more <b>",
        "warnings": (NASTY,),
        "baselines": report.baselines.model_copy(update={"ceiling": ceiling}),
    }
    return report.model_copy(update=changes)


def _gallery(name="dna", ratios=(1, 2), shape=(DEPTH, 24, 32), off=0.0):
    rng = np.random.default_rng(0)
    light, truth = rng.standard_normal((2, *shape)).astype(np.float32)
    truth[-1] = np.nan
    gallery = Gallery(light, {name: truth}, len(ratios))
    for ratio in ratios:
        gallery.add(ratio, {name: truth + off})
    return gallery


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for key, value in attrs if key in ("src", "href")]


def _read(text):
    reader = _Reader()
    reader.feed(text)
    return reader


def _decoded(uri):
    content = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_the_page_of_a_sweep_stands_alone_and_says_everything():
    text = sweep_page(_report(NASTY), _gallery(NASTY))
    reader = _read(text)
    assert reader.tags.count("script") == 2, "names cannot become markup"
    assert "<script>alert" not in text
    assert "link" not in reader.tags
    assert all(link.startswith("data:image/") for link in reader.links)
    assert "http" not in re.sub(r"http-equiv", "", text.replace(NASTY, ""))
    assert "default-src 'none'" in text
    for word in ("r = 2, 16 planes", "local smoothness", "noise ceiling", "0.800"):
        assert word in text
    assert "(0.790)" in text
    assert "3 of 6 planes &amp; no more &lt;b&gt;" in text
    assert "stopped early" not in text
    stopped = _report().model_copy(update={"finished": False})
    assert "stopped early" in sweep_page(stopped, _gallery())


def test_the_data_of_the_page_have_a_picture_for_every_plane_shown():
    text = sweep_page(_report(), _gallery())
    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    data = json.loads(found.group(1))
    assert data["planes"] == list(range(DEPTH))
    assert data["measured"]["2"] == list(range(0, 32, 2))
    kinds = {key.partition("|")[0] for key in data["pictures"]}
    assert kinds == {"light", "truth", "same", "own", "error"}
    assert all(len(uris) == DEPTH for uris in data["pictures"].values())
    assert set(data["r2"]["dna"]) == {"1", "2"}


@pytest.mark.parametrize(("off", "colour"), [(9, TOO_HIGH), (-9, TOO_LOW)])
def test_errors_have_the_colour_of_their_sign(off, colour):
    gallery = _gallery(off=off)
    picture = _decoded(gallery.pictures["error", "dna", 1][0])
    assert abs(off) > ERROR_LIMIT
    assert np.abs(picture - colour).max() < 12


def test_a_perfect_prediction_looks_like_its_truth_and_has_no_error():
    gallery = _gallery()
    truth = gallery.pictures["truth", "dna", 0]
    assert gallery.pictures["same", "dna", 2] == truth
    assert _decoded(truth[-1]).max() < 5, "there is no truth"
    assert _decoded(gallery.pictures["error", "dna", 2][3]).min() > 250


def test_a_large_stack_is_thinned_and_shrunk_to_the_budget(monkeypatch):
    monkeypatch.setattr(html, "BUDGET", 50_000)
    gallery = _gallery(shape=(60, 48, 64))
    pixels = sum(
        _decoded(uri)[..., 0].size for uris in gallery.pictures.values() for uri in uris
    )
    assert pixels < 60_000
    assert gallery.planes[0] == 0
    assert gallery.planes[-1] == 59
    assert len(gallery.planes) == 12


def test_the_page_of_a_comparison_stands_alone_and_escapes_names(tmp_path):
    report = comparison()
    text = comparison_page(report)
    assert "<b>&quot;odd&quot;</b>" not in text
    assert ODD not in text.replace("\\u003c", "&lt;")
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text
    for planes in ("light||0", "truth|dna|0", "same|dna|1", "error|dna|1"):
        assert f'"{planes}"' in text
    write_comparison_page(report, tmp_path / "page.html")
    write_sweep_page(_report(), _gallery(), tmp_path / "sweep.html")
    for path in tmp_path.iterdir():
        written = path.read_text(encoding="utf-8")
        assert written.startswith("<!doctype")
        assert written.endswith("</html>\n")


def test_a_page_does_not_say_of_planes_and_pixels_what_nobody_knows():
    text = comparison_page(ComparisonReport((scored(),), "s", "m", unit="pixels"))
    assert '"measured": {"1": null}' in text
    assert "µm" not in text
    assert '"unit": "pixels"' in text


def test_the_error_of_another_programs_image_is_in_the_truths_units():
    one = scored()
    theirs = one.truth.with_(zscored=False)
    text = comparison_page(ComparisonReport((replace(one, prediction=theirs),), "", ""))
    found = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    pictures = found["pictures"]
    assert _decoded(pictures["error|dna|1"][0]).min() > 250
    assert pictures["same|dna|1"] == pictures["truth|dna|0"]

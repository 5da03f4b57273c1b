"""`sparsessp models gallery`, and `fetch` of what it lists."""

import io
import json

import pytest

from napari_sparsessp.cli import gallery as cli_gallery
from napari_sparsessp.models import gallery
from napari_sparsessp.models.library import read_card


@pytest.fixture
def typed(monkeypatch):
    """`typed("y")`: a user at a terminal who types this line."""

    def go(line):
        monkeypatch.setattr(cli_gallery, "is_terminal", lambda: True)
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{line}\n"))

    return go


def test_the_gallery_is_a_table_and_json(sparsessp):
    code, out, err = sparsessp("models", "gallery", "--structure", "lamin_b1")
    assert code == 0, err
    assert "gvt-all-twelve" in out
    assert "889 MB" in out
    assert "gvt-dna" not in out
    rows = json.loads(sparsessp("models", "gallery", "--json")[1])
    assert {row["id"] for row in rows} == {one.id for one in gallery.read_gallery()}
    twelve = rows[0]
    assert len(twelve["predicts"]) == 12
    assert len(twelve["files"]) == 24
    assert {"modality", "licence", "members", "state"} <= twelve.keys()
    dic = json.loads(sparsessp("models", "gallery", "--json", "--modality", "DIC")[1])
    assert [row["id"] for row in dic] == ["gvt-nuclear-envelope-dic"]


def test_no_such_model_names_the_kinds_of_light(sparsessp):
    code, out, err = sparsessp("models", "gallery", "--modality", "x-ray")
    assert (code, out) == (0, "")
    assert "bright-field, quantitative phase, DIC" in err


def test_without_a_terminal_the_licence_is_an_option(
    sparsessp, refused, served_gallery
):
    served_gallery.add("real-dna")
    line = refused("models", "fetch", "real-dna")
    assert "GPL-3.0" in line
    assert "--accept-licence" in line
    assert served_gallery.server.asked == []
    code, out, err = sparsessp("models", "fetch", "real-dna", "--accept-licence")
    assert code == 0, err
    assert "hiPSC colonies, 100×, bright-field, 0.29 µm" in out
    assert gallery.UNSEEN in err
    card = read_card("real-dna")
    assert card.source["fetched_sha256"] in out
    assert "yours" in sparsessp("models", "gallery")[1]
    more = ("--id", "again", "--name", "Mine")
    assert sparsessp("models", "fetch", "real-dna", *more)[0] == 0  # asked once
    assert read_card("again").name == "Mine"


@pytest.mark.parametrize(("line", "code"), [("n", 2), ("", 2), ("y", 0)])
def test_at_a_terminal_the_licence_is_asked(
    sparsessp, served_gallery, typed, line, code
):
    served_gallery.add("real-dna")
    typed(line)
    done, _, err = sparsessp("models", "fetch", "real-dna")
    assert done == code
    assert "licence: GPL-3.0. Nobody says whether it covers the weights." in err
    assert "https://doi.org/10.1038/s42256-020-00283-x" in err
    assert ("was not accepted, so nothing was fetched" in err) == (code == 2)
    assert bool(served_gallery.server.asked) == (code == 0)


def test_an_id_that_nobody_offers_and_a_checksum_are_one_line(refused, served_gallery):
    served_gallery.add("real-dna")
    assert "did you mean real-dna?" in refused("models", "fetch", "real-dma")
    line = refused("models", "fetch", "real-dna", "--sha256", "0" * 64)
    assert "leave it out" in line

import io
import sys

import pytest

from napari_sparsessp.cli.console import Console, clock, one_line
from napari_sparsessp.cli.table import score_table
from napari_sparsessp.cli.truth import _split, parse_truth


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_rewritten_in_place_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys, "stderr", Terminal())
    console = Console()
    console.progress("a rather long line that would wrap")
    console.progress("short")
    console.warning("look")
    first, second, *rest = sys.stderr.getvalue().split("\r")[1:]
    assert len(first) == 19
    assert second == "short".ljust(19)
    assert rest[-1] == "sparsessp: warning: look\n"


def test_progress_into_a_file_is_a_line_now_and_then(capsys, monkeypatch):
    now = iter(range(1000))
    console = Console(_last=0.0)
    monkeypatch.setattr(
        "napari_sparsessp.cli.console.time.monotonic", lambda: float(next(now))
    )
    for tile in range(8):
        console.progress(f"tile {tile}")
    console.progress("done", last=True)
    assert capsys.readouterr().err == "tile 5\ndone\n"


def test_quiet_hides_progress_and_notes_but_no_warnings(capsys):
    console = Console(quiet=True)
    console.progress("working")
    console.note("by the way")
    console.warning("mind\n the gap")
    assert capsys.readouterr().err == "sparsessp: warning: mind the gap\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (3723, "1:02:03"), (-1, "0:00")]
)
def test_durations_read_as_clocks(seconds, text):
    assert clock(seconds) == text


def test_messages_become_one_line():
    assert one_line("a\n  b\t c ") == "a b c"


def test_the_table_has_only_what_was_scored():
    scores = {
        "dna": {"r2": 0.5, "mse": 0.5, "pcc": None},
        "golgi_apparatus": {},
        "nucleolus": {"r2": 0.7, "mse": 0.3},
    }
    header, dna, nucleolus, mean = score_table(scores).splitlines()
    assert header.split()[:2] == ["structure", "R²"]
    assert dna.split()[:5] == ["dna", "0.500", "0.500", "–", "–"]
    assert nucleolus.startswith("nucleolus")
    assert mean.split()[:4] == ["mean", "of", "structures", "0.600"]
    assert score_table({"dna": {}}) == ""


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("a.tif", ("a.tif", None)),
        ("a.tif:2", ("a.tif", 2)),
        ("a.tif:Hoechst 33342", ("a.tif", "Hoechst 33342")),
        ("C:\\a.tif", ("C:\\a.tif", None)),
        ("C:\\a.tif:1", ("C:\\a.tif", 1)),
    ],
)
def test_file_and_channel_of_a_truth_are_parted(source, parts):
    assert _split(source) == parts


def test_a_file_with_a_colon_in_its_name_is_a_file(tmp_path):
    (tmp_path / "a:1").write_text("")
    assert _split(f"{tmp_path}/a:1") == (f"{tmp_path}/a:1", None)


def test_an_equals_sign_in_the_file_name_is_kept():
    assert parse_truth(["dna=r=4.tif"]) == {"dna": "r=4.tif"}


def test_other_peoples_text_commands_no_terminal(capsys):
    """A file's name and a card's text may hold anything, also what has no UTF-8."""
    console = Console()
    console.result("a\x1b[31m \udcff\tb\nc")
    console.error("no\x1b]0;title\x07file\x9b")
    said = capsys.readouterr()
    assert said.out == "a\\x1b[31m \\xdcff\tb\nc\n"
    assert said.err == "sparsessp: error: no\\x1b]0;title\\x07file\\x9b\n"

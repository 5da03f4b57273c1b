import io
import sys

import pytest
from rich.cells import cell_len
from rich.text import Text

from napari_sparsessp.cli.console import Console, clock, one_line, score_rows
from napari_sparsessp.cli.options import parse_truth, split_source


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """`terminal()`: standard output and error become a terminal of 40 columns."""
    for name, value in {"COLUMNS": "40", "LINES": "20", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)

    def begin():  # pytest brings its own streams between fixture and test
        both = Terminal()
        monkeypatch.setattr(sys, "stdout", both)
        monkeypatch.setattr(sys, "stderr", both)
        return both

    return begin


@pytest.fixture
def now(monkeypatch):
    """The time, which stands still unless a test moves it."""
    time = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: time[0])
    return time


def frames(screen):
    """The lines that a screen was given, without their codes."""
    text = Text.from_ansi(screen.getvalue().replace("\r", "\n")).plain
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_progress_is_rewritten_in_place_on_a_terminal(terminal):
    screen = terminal()
    console = Console()
    report = console.progress("a step with a rather long name", "tile")
    report(1, 1)
    console.warning("look")
    first, *bars, warning = frames(screen)
    assert first == "a step with a rather long name"
    for bar in bars:
        assert bar.startswith("━" * 16)
        assert bar.endswith("…")
        assert cell_len(bar) <= 40
    assert warning == "sparsessp: warning: look"
    assert screen.getvalue().endswith("\r\x1b[2Ksparsessp: warning: look\n")
    assert screen.getvalue().count("\n") == 1, "nothing scrolls but the warning"


def test_progress_into_a_file_is_a_line_now_and_then(capsys, now):
    report = Console().progress("predicting", "tile")
    for tile in range(8):
        report(tile, 8)
        now[0] += 1.0
    report(8, 8, "R² dna 0.50")
    assert capsys.readouterr().err == (
        "predicting: tile 5 of 8, 0:03 left\npredicting: tile 8 of 8; R² dna 0.50\n"
    )


@pytest.mark.parametrize(
    ("unit", "reported", "text"),
    [
        ("", (0.25,), "fetching: 25%"),
        ("", (0.0, None, "reading"), "fetching; reading"),
        ("MB", (5e5,), "fetching: 0.5 MB"),
        ("MB", (5e5, 2e6), "fetching: 0.5 of 2.0 MB"),
        ("", (1, 4, "golgi"), "fetching: 25%; golgi"),
        ("file", (0, 0), "fetching: file 0 of 0"),
    ],
)
def test_whatever_is_counted_is_shown(capsys, now, unit, reported, text):
    report = Console().progress("fetching", unit)
    now[0] += 10
    report(*reported)
    assert capsys.readouterr().err == f"{text}\n"


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
    header, dna, nucleolus, mean = score_rows(scores)
    assert header[:2] == ["structure", "R²"]
    assert dna[:5] == ["dna", "0.500", "0.500", "–", "–"]
    assert nucleolus[0] == "nucleolus"
    assert mean[:2] == ["mean of structures", "0.600"]
    assert score_rows({"dna": {}}) == []


WIDE = [
    ["structure", *(f"r={r} (8)" for r in range(8))],
    ["endoplasmic [red]reticulum", *(f"{0.1 * r:.3f}" for r in range(8))],
]


def test_a_table_in_a_pipe_is_one_table_without_colours(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    Console().table(WIDE)
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[0] == "structure"
    assert row.split("  ")[0] == WIDE[1][0]
    assert row.split()[2:] == WIDE[1][1:]
    assert len(heading) == len(row), "numbers are below their headings"


def test_a_table_on_a_narrow_terminal_wraps_no_number(terminal):
    screen = terminal()
    Console().table(WIDE)
    lines = frames(screen)
    assert all(len(line) <= 40 for line in lines)
    names = [line.split("  ")[0] for line in lines]
    assert names == [row[0] for row in WIDE] * (len(lines) // 2)
    shown = [cell for line in lines[1::2] for cell in line.split("  ")[1:] if cell]
    assert [cell.strip() for cell in shown] == WIDE[1][1:]


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
    assert split_source(source) == parts


def test_a_file_with_a_colon_in_its_name_is_a_file(tmp_path):
    (tmp_path / "a:1").write_text("")
    assert split_source(f"{tmp_path}/a:1") == (f"{tmp_path}/a:1", None)


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

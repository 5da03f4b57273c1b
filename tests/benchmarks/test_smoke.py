"""Every program of benchmarks/, recipes/ and tools/ starts, and says what it does."""

import importlib
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_sparsessp.volume import Volume

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted(ROOT.glob("benchmarks/*/*.py"))
]
PARTS = ("benchmarks.claims.page", "benchmarks.speed.viscy_layout")  # of programs
PROGRAMS = [name for name in MODULES if name not in PARTS]
FILES = ["recipes/run.py", "tools/golden.py", "tools/story.py"]


def say_help(monkeypatch, capsys, run):
    """Run a program with --help and return what it says."""
    monkeypatch.setattr(sys, "argv", ["program", "--help"])
    with pytest.raises(SystemExit) as end:
        run()
    assert not end.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_benchmark_says_how_it_is_called(name, monkeypatch, capsys):
    module = importlib.import_module(name)
    assert "usage" in say_help(monkeypatch, capsys, module.main)
    assert f"python -m {name}" in module.__doc__


@pytest.mark.parametrize("file", FILES)
def test_a_tool_says_how_it_is_called(file, monkeypatch, capsys):
    monkeypatch.setattr("os.environ", {})  # golden sets threads and terminal
    names = runpy.run_path(str(ROOT / file))
    assert "usage" in say_help(monkeypatch, capsys, names["main"])


@pytest.mark.parametrize(
    "name", ["bad_inputs", "make_checks", "make_sample", "waveorder_reference"]
)
def test_a_tool_without_options_can_be_loaded(name, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert callable(runpy.run_path(str(ROOT / "tools" / f"{name}.py"))["main"])


def test_every_program_named_in_the_documents_is_there():
    text = "\n".join(
        path.read_text("utf-8")
        for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "Makefile"]
    )
    modules = set(re.findall(r"python -m (benchmarks[\w.]+\w)", text))
    files = set(re.findall(r"\b((?:tools|recipes)/[\w-]+\.\w+)", text))
    assert modules <= set(MODULES)
    assert modules
    assert {file for file in files if not (ROOT / file).exists()} == set()


def test_spoiled_stacks_are_all_told_from_their_original():
    from benchmarks.figures.domain_shift import SPOILT

    stack = np.random.default_rng(0).normal(100, 5, (4, 32, 32)).astype(np.float32)
    for kind, spoil in SPOILT.items():
        found = spoil(stack)
        assert found.shape == stack.shape, kind
        assert not np.array_equal(found, stack), kind


def test_a_recipe_crops_what_it_scores():
    run = runpy.run_path(str(ROOT / "recipes" / "run.py"))
    volume = Volume(np.arange(24).reshape(2, 3, 4), "ZYX", None)
    cut = run["cropped"](volume, {"x": [1, 3]})
    np.testing.assert_array_equal(cut.array, volume.array[..., 1:3])

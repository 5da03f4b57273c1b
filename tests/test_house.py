"""Promises of the house: what is loaded when, who may import whom, what is declared."""

import ast
import subprocess
import sys
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest

import napari_sparsessp

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "napari_sparsessp"
HEAVY = (
    "bioio",
    "dask",
    "matplotlib",
    "napari",
    "pandas",
    "qtpy",
    "safetensors",
    "scipy",
    "skimage",
    "tifffile",
    "torch",
    "zarr",
)


def loaded_by(code: str) -> set[str]:
    """The heavy packages that a fresh interpreter has loaded after `code`."""
    report = f"import sys; print(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_by("import napari_sparsessp") == set()


def test_the_command_line_starts_without_anything_heavy():
    assert loaded_by("import napari_sparsessp.cli.main") == set()


def test_the_words_of_a_request_need_no_torch():
    assert "torch" not in loaded_by(
        "from napari_sparsessp import PredictionRequest, SparseView, Volume"
    )


@pytest.mark.parametrize("name", napari_sparsessp.__all__)
def test_every_public_name_is_there(name):
    assert getattr(napari_sparsessp, name) is not None
    assert name in dir(napari_sparsessp)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = napari_sparsessp.nope


def test_the_entry_points_are_declared():
    mine = [e for e in entry_points(group="napari.manifest") if "sparsessp" in e.name]
    assert {e.value for e in mine} == {"napari_sparsessp:napari.yaml"}
    (script,) = entry_points(group="console_scripts", name="sparsessp")
    assert callable(script.load())
    assert "Framework :: napari" in distribution("napari-sparsessp").metadata.get_all(
        "Classifier"
    )


@pytest.mark.skipif(
    sys.platform == "win32", reason="git makes links into text files there"
)
def test_the_manifest_at_the_root_is_the_packaged_one():
    assert (ROOT / "napari.yaml").is_symlink()
    packaged = (PACKAGE / "napari.yaml").read_text(encoding="utf-8")
    assert (ROOT / "napari.yaml").read_text(encoding="utf-8") == packaged


def test_the_version_is_the_same_everywhere():
    version = napari_sparsessp.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in citation
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_layers_import_only_downwards():
    pytest.importorskip("importlinter", reason="import-linter is in the lint group")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports as l; l()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "0 broken" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_files_and_functions_stay_small(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 600
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert lines <= 60, f"{node.name} has {lines} lines"

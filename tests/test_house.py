"""Promises of the house: what is loaded when, who may import whom, what is declared."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
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
LONGEST_FILE, LONGEST_FUNCTION = 600, 60


def module_name(path: Path) -> str:
    """Name of a file of ours as it is imported."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture(scope="module")
def modules():
    """Every module of ours, parsed, by its name."""
    paths = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
    return {n: ast.parse(p.read_text(encoding="utf-8")) for n, p in paths.items()}


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


def test_every_public_name_is_there():
    names = napari_sparsessp.__all__
    assert [n for n in names if getattr(napari_sparsessp, n, None) is None] == []
    assert set(names) <= set(dir(napari_sparsessp))


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


def test_files_and_functions_stay_small(modules):
    too_large = []
    for name, tree in modules.items():
        length = tree.body[-1].end_lineno if tree.body else 0
        if length > LONGEST_FILE:
            too_large.append(f"{name} has {length} lines")
        too_large += [
            f"{name}.{node.name} has {lines} lines"
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (lines := lines_of(node)) > LONGEST_FUNCTION
        ]
    assert too_large == []


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_no_modules_import_each_other_in_a_circle(modules):
    """Imports for the type checker and inside functions count: both are tangle."""
    try:
        imports_of(modules).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(reversed(error.args[1])))


def imports_of(modules: dict[str, ast.Module]) -> TopologicalSorter[str]:
    """Which module imports which; a name of a package's front is that package's."""
    graph: TopologicalSorter[str] = TopologicalSorter()
    for name, tree in modules.items():
        for node in ast.walk(tree):
            found = set()
            if isinstance(node, ast.Import):
                found = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found = (inner & modules.keys()) or {node.module}
            graph.add(name, *found & modules.keys())
    return graph


def test_circles_are_seen():
    """The check of circles itself."""
    circle = {"a": "from b import one", "b": "def f():\n    import a"}
    with pytest.raises(CycleError):
        imports_of({name: ast.parse(text) for name, text in circle.items()}).prepare()

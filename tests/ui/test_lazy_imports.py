"""Nothing in ui/ loads anything heavy when it is imported."""

import json
import subprocess
import sys
from pathlib import Path

import napari_sparsessp.ui

HEAVY = ["torch", "scipy", "skimage", "zarr", "dask", "tifffile", "bioio", "matplotlib"]
HEAVY += ["pyqtgraph", "napari"]


def test_importing_ui_imports_nothing_heavy():
    folder = Path(napari_sparsessp.ui.__file__).parent
    files = [path.relative_to(folder.parents[1]) for path in folder.rglob("[a-z]*.py")]
    names = [".".join(path.with_suffix("").parts) for path in files]
    code = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []

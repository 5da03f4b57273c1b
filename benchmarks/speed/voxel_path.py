"""Measure how direct a voxel's way is: ``python -m benchmarks.speed.voxel_path``.

Three figures of one prediction from the command line, file to file:

- functions of this package that a voxel passes: those that are given, or return,
  voxels (an array or tensor in memory of 1000 elements or more);
- plans that are made;
- bytes written over the size of the result, pyramid levels included (Linux).
"""

import argparse
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np


def write_field(path: Path, shape: tuple[int, int, int]) -> None:
    """Write noise with the voxels of the shipped models."""
    import tifffile

    planes = np.random.default_rng(1).normal(1000, 100, shape).astype(np.uint16)
    sizes = {f"PhysicalSize{axis}": 0.29 for axis in "XYZ"}  # µm, as OME has it
    tifffile.imwrite(path, planes, ome=True, metadata={"axes": "ZYX", **sizes})


def has_voxels(value: Any) -> bool:
    """Whether a value is an array or a tensor of voxels, or a few of them."""
    if isinstance(value, tuple | list):
        return any(has_voxels(one) for one in value[:4])
    if not isinstance(value, np.ndarray) and type(value).__name__ != "Tensor":
        return False
    return value.ndim >= 2 and np.prod(value.shape) >= 1000


class VoxelPath:
    """Note the functions of the package that voxels pass."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()

    def __call__(self, frame: Any, event: str, value: Any) -> None:
        """Look at one call or return, as `sys.setprofile` wants it."""
        code = frame.f_code
        where = code.co_filename.rpartition("napari_sparsessp/")[2]
        if event not in ("call", "return") or where == code.co_filename:
            return
        name = f"{where}:{code.co_qualname}"
        if name in self.passed or "<" in code.co_name:
            return
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        given = [frame.f_locals.get(one) for one in names if one != "self"]
        if has_voxels(value if event == "return" else given):
            self.passed[name] += 1


def run_command(words: list[str], watch: Any = None) -> tuple[int, int]:
    """Run a command in this process; return plans made and bytes written."""
    from napari_sparsessp.cli.main import app_main
    from napari_sparsessp.prediction import plan

    counted = mock.Mock(wraps=plan.plan_prediction)
    before = written()
    with mock.patch.object(plan, "plan_prediction", counted):
        engine = sys.modules.get("napari_sparsessp.prediction.engine")
        if engine is not None:
            engine.plan_prediction = counted  # type: ignore[attr-defined]
        threading.setprofile(watch)
        sys.setprofile(watch)
        try:
            with mock.patch.object(sys, "argv", ["sparsessp", *words]):
                app_main()
        except SystemExit as end:
            if end.code:
                raise
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    return counted.call_count, written() - before


def written() -> int:
    """Return the bytes that this process has written so far; 0 where nobody counts."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return 0
    return int(next(one for one in lines if one.startswith("wchar")).split()[1])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(40, 448, 448))
    parser.add_argument("--list", action="store_true", help="name the functions")
    asked = parser.parse_args()
    path = VoxelPath()
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name) / "in.ome.tif", Path(name) / "out.ome.zarr"
        write_field(source, tuple(asked.shape))
        words = ["predict", str(source), "--quiet", "--out", str(out), "--overwrite"]
        words += ["--tile", "32,224,224"]
        plans, _ = run_command([*words, "--structures", "dna"], path)
        _, total = run_command(words)
        size = sum(one.stat().st_size for one in out.rglob("*") if one.is_file())
    if asked.list:
        print(*sorted(path.passed), sep="\n")
    print(f"functions a voxel passes: {len(path.passed)}")
    print(f"plans made for one run: {plans}")
    print(f"bytes written over the result's: {total / size:.2f}")


if __name__ == "__main__":
    main()

"""Record what the package gives today, and compare it after a refactoring.

``python tools/golden.py record DIR --data FOLDER`` predicts with every shipped model
through the command line, Python and the Predict dock's engine, and keeps the voxels,
reports, help texts and public names in ``DIR``. ``python tools/golden.py compare DIR``
does the same again on the inputs kept there; it exits with 1 where voxels moved by
more than 1e-6 σ (bf16: 1e-2 σ) or a public name, a report field or a command is gone.
Pictures of the docks: ``python tools/story.py --scenes docks --out DIR``.
"""

import argparse
import contextlib
import difflib
import inspect
import io
import json
import os
import re
import runpy
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

# One thread and fixed widths, so that neither load nor terminal changes a bit.
os.environ.update(OMP_NUM_THREADS="1", COLUMNS="80", TERM="dumb", NO_COLOR="1")

import numpy as np

TOLERANCE = {"fp32": 1e-6, "bf16": 1e-2}
MODELS = (
    *("colony-3to2d", "colony-2d", "colony-2to3d", "colony-3d"),
    *("hipsc-dna", "neurons-isl"),
)
TOPOLOGIES = ("3d", "2d", "2to3d", "3to2d")
# Real files, and the (z, y, x) that is cut out of them.
CROPS = {
    "allen_hipsc_brightfield_fov": (slice(8, 40), slice(40, 140), slice(100, 220)),
    "isl_neurons_phase_left": (slice(0, 13), slice(300, 460), slice(200, 360)),
}
WAYS = ("tiff", "zarr", "python", "engine")
# Report fields that no two runs share.
VOLATILE = {"created", "seconds", "peak_memory_mb", "memory", "package"}


def cases() -> list[tuple[str, str, dict[str, Any], tuple[str, ...]]]:
    """List what is predicted: name, input, fields of the request, ways."""
    field, neurons = CROPS
    two = {"structures": ("nucleolus", "dna")}
    sparse = {"ratio": 4.0, "simulate_sparse": True, "tta": True}
    size = {"voxel_size": (1.0, 0.3, 0.3)}
    tiles = {"tile": (32, 96, 96), "overlap": 0.5}
    truth = {"truth": {"dna": "truth.ome.tif:dna"}}
    both = ("zarr", "python")
    return [
        *((f"sample-{id_}", "sample", {"model": id_}, WAYS) for id_ in MODELS),
        *((f"field-{id_}", field, {"model": id_}, WAYS) for id_ in MODELS[:-1]),
        *((f"topology-{t}", "sample", {"topology": t}, both) for t in TOPOLOGIES),
        ("bf16", "sample", {"precision": "bf16"}, WAYS),
        ("tiles", "sample", {**two, **tiles}, WAYS),
        ("uncertainty", "sample", {**two, "uncertainty": True}, WAYS),
        ("truth", "sample", {**two, **truth}, ("zarr",)),
        ("input-grid", field, {**two, "grid": "input"}, WAYS),
        ("simulated", field, {**two, **sparse}, WAYS),
        ("neurons", neurons, {"model": "neurons-isl", **size}, WAYS),
        ("neurons-colony", neurons, {**two, **size}, ("tiff", "engine")),
    ]


def make_inputs(folder: Path, data: Path | None) -> None:
    """Write the sample, its truth and the crops of real files into a folder."""
    import tifffile

    from napari_sparsessp import load_volume
    from napari_sparsessp.io.samples import sample_paths

    folder.mkdir(parents=True, exist_ok=True)
    for name, path in zip(("sample", "truth"), sample_paths(), strict=True):
        (folder / f"{name}.ome.tif").write_bytes(path.read_bytes())
    for name, box in CROPS.items():
        path = Path(data or "") / f"{name}.ome.tif"
        if data is None or not path.is_file():
            print(f"skipped: {name}.ome.tif is not in --data")
            continue
        volume = load_volume(path)
        keys = ("PhysicalSizeZ", "PhysicalSizeY", "PhysicalSizeX")
        size = dict(zip(keys, volume.voxel_size or (), strict=False))
        tifffile.imwrite(
            folder / f"{name}.ome.tif",
            np.asarray(volume.array[box]),
            metadata={"axes": "ZYX", "Channel": {"Name": volume.channel_names}, **size},
        )


# the ways to predict -----------------------------------------------------------------


def command_line(*arguments: str) -> str:
    """Run ``sparsessp`` in this process and return its standard output."""
    out, argv = io.StringIO(), sys.argv
    sys.argv = ["sparsessp", *arguments]
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_module("napari_sparsessp.cli", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"sparsessp {' '.join(arguments)}: {end.code}") from end
    finally:
        sys.argv = argv
    return out.getvalue()


def predict_by(way: str, source: Path, fields: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Predict one way; return the voxels, their place in space and the report."""
    from napari_sparsessp import PredictionRequest, load_model, load_volume, predict
    from napari_sparsessp.prediction.command_line import command_of

    if way in ("tiff", "zarr"):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / f"out.ome.{way.removesuffix('f')}"
            report = Path(folder) / "report.json"
            request = PredictionRequest(input=str(source), **fields)
            words = command_of(request, out)[1:]
            command_line(*words, "--quiet", "--report", str(report))
            volume = load_volume(out)
            told = json.loads(report.read_text())
            return volume.numpy(), _about(volume), _comparable(told)
    request, volume = PredictionRequest(**fields), load_volume(source)
    if way == "engine":
        return _stream_as_the_dock(request, volume), None, None
    model = load_model(request.model, request.topology)
    result = predict(model, volume, request=request)
    told = _comparable(json.loads(result.report.to_json()))
    return np.asarray(result.volume.array), _about(result.volume), told


def _stream_as_the_dock(request: Any, volume: Any) -> Any:
    """Fill a shared buffer by the dock's own engine; follow a changed ui here."""
    from napari_sparsessp import load_model
    from napari_sparsessp.prediction.plan import plan_prediction
    from napari_sparsessp.ui.engine import InstalledEngine

    engine, model = InstalledEngine(), load_model(request.model, request.topology)
    plan = plan_prediction(model.card, volume, request, {})
    buffer = np.zeros(plan.output_shape, np.float32)
    writer, never = engine.new_writer(buffer), threading.Event()
    for event in engine.stream(plan, writer, lambda: None, None, never):
        buffer = getattr(event, "buffer", buffer)
    return buffer


def _about(volume: Any) -> dict[str, Any]:
    return {
        "axes": volume.axes,
        "channels": list(volume.channel_names),
        "voxel size": [round(one, 6) for one in volume.voxel_size],
        "origin": [round(one, 6) for one in volume.origin],
    }


def _comparable(value: Any) -> Any:
    """Leave out what no two runs share, and the last digits."""
    if isinstance(value, dict):
        return {
            key: "…" if key in VOLATILE else _comparable(one)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_comparable(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


# texts and names ---------------------------------------------------------------------


def help_texts() -> dict[str, str]:
    """Help of every command and subcommand, by its words."""
    import typer

    from napari_sparsessp.cli.main import app

    def walk(command: Any, words: tuple[str, ...]) -> None:
        texts[" ".join(("sparsessp", *words))] = command_line(*words, "--help")
        for name, sub in getattr(command, "commands", {}).items():
            walk(sub, (*words, name))

    texts: dict[str, str] = {}
    walk(typer.main.get_command(app), ())
    return texts


def public_names() -> dict[str, str]:
    """Signatures of all that `napari_sparsessp` exports."""
    import napari_sparsessp

    found = {}
    for name in napari_sparsessp.__all__:
        value = getattr(napari_sparsessp, name)
        text = str(inspect.signature(value)) if callable(value) else ""
        # quotes and homes of types are no part of a promise
        found[name] = re.sub(r"napari_sparsessp\.[\w.]+\.|['\"]", "", text)
    return found


def _fields(value: Any, path: str = "") -> set[str]:
    if isinstance(value, list):
        return set().union(*(_fields(one, path) for one in value), {path})
    if not isinstance(value, dict):
        return {path}
    return set().union(*(_fields(one, f"{path}.{key}") for key, one in value.items()))


# record and compare ------------------------------------------------------------------


def outputs(folder: Path) -> Any:
    """Yield (key, tolerance, voxels, place, report) of each prediction."""
    os.chdir(folder / "inputs")
    for name, source, request, ways in cases():
        path = Path(f"{source}.ome.tif")
        fields = {"device": "cpu", "precision": "fp32", **request}
        for way in ways if path.is_file() else ():
            try:
                found = predict_by(way, path, fields)
            except Exception as error:
                print(f"{name}.{way} failed: {error!r}", flush=True)
                continue
            yield f"{name}.{way}", TOLERANCE[fields["precision"]], *found


def record(folder: Path, data: Path | None) -> None:
    """Keep everything of the installed package in a folder."""
    make_inputs(folder / "inputs", data)
    kept: dict[str, Any] = {"files": {}, "about": {}, "reports": {}}
    last: tuple[str, Any] = ("", np.zeros(0))
    for key, _, voxels, about, report in outputs(folder):
        if not np.array_equal(voxels, last[1], equal_nan=True):
            last = (key, voxels)
            np.save(folder / f"{key}.npy", voxels)
        kept["files"][key] = last[0]
        kept["about"][key], kept["reports"][key] = about, report
        print(f"{key:32} {last[0] if last[0] != key else 'new'}", flush=True)
    kept["help"], kept["names"] = help_texts(), public_names()
    (folder / "golden.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False))


def compare(folder: Path) -> int:
    """Do everything again, print what differs; return 1 where a promise is broken."""
    kept = json.loads((folder / "golden.json").read_text())
    broken, seen, equal = [], set(), 0
    for key, tolerance, voxels, about, report in outputs(folder):
        seen.add(key)
        golden = np.load(folder / f"{kept['files'][key]}.npy")
        if golden.shape != voxels.shape:
            broken.append(f"{key}: shape {golden.shape} became {voxels.shape}")
        elif np.array_equal(golden, voxels, equal_nan=True):
            equal += 1
        else:
            moved = _difference(golden, voxels)
            print(f"{key}: differs by up to {moved:.3g} σ", flush=True)
            if not moved <= tolerance:
                broken.append(f"{key}: {moved:.3g} σ is more than {tolerance:g}")
        if about != kept["about"][key]:
            broken.append(f"{key}: {kept['about'][key]} became {about}")
        _show(f"report of {key}", kept["reports"][key], report)
        gone = _fields(kept["reports"][key]) - _fields(report)
        broken += [f"{key}: the report lost {one}" for one in sorted(gone)]
    print(f"{equal} of {len(seen)} predictions are equal to the last bit")
    broken += [f"{key} was not predicted" for key in kept["files"].keys() - seen]
    for what, now in (("help", help_texts()), ("names", public_names())):
        for name in sorted(kept[what].keys() | now.keys()):
            _show(name, kept[what].get(name, ""), now.get(name, ""))
        broken += [f"{name} is gone" for name in kept[what].keys() - now.keys()]
    for one in broken:
        print(f"BROKEN {one}")
    return 1 if broken else 0


def _difference(golden: np.ndarray, voxels: np.ndarray) -> float:
    """Largest difference in standard deviations of a channel; inf where NaNs moved."""
    if not np.array_equal(np.isfinite(golden), np.isfinite(voxels)):
        return float("inf")
    sigma = np.nanstd(golden, axis=(-3, -2, -1), keepdims=True)
    return float(np.nanmax(abs(golden - voxels) / np.maximum(sigma, 1e-12)))


def _show(name: str, before: Any, now: Any) -> None:
    """Print how a text, or a value as JSON, changed."""
    texts = (
        v if isinstance(v, str) else json.dumps(v, indent=1) for v in (before, now)
    )
    lines = [text.splitlines() for text in texts]
    for line in difflib.unified_diff(*lines, f"{name}: golden", "now", "", "", 1, ""):
        print(line)


def main() -> int:
    """Run the verb of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("record", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, help="folder of the real files, to record")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if options.verb == "compare":
        return compare(folder)
    record(folder, options.data)
    return 0


if __name__ == "__main__":
    sys.exit(main())

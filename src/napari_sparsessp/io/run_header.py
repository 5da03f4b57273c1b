"""What makes a run the run that it is, so that no other one goes on with its work."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp import __version__
from napari_sparsessp.prediction.tiling import TileSize

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.volume import Volume

FORMAT = 1

_NOT_THE_NUMBERS = {
    "input", "truth", "model", "topology", "structures", "device", "precision",
    "memory_limit",
}  # fmt: skip
"""Fields of a request that change no voxel, or that the header has more exactly."""

_WORDS = {
    "input": "the input",
    "model": "the model",
    "channels": "the structures",
    "package": "the version of napari-sparsessp",
    "device": "the device",
    "precision": "the precision",
    "image": "the kind of output",
}


def header_of(
    plan: Plan, *, model: str, device: str, precision: str, image: str
) -> dict[str, Any]:
    """Give all that the voxels depend on, as JSON."""
    fields = plan.request.model_dump(mode="json", exclude=_NOT_THE_NUMBERS)
    header = {
        "format": FORMAT,
        "package": __version__,
        "model": model,
        "input": _fingerprint(plan.volume),
        "channels": list(plan.channels),
        "request": fields,
        "shape": list(plan.output_shape),
        "tile_size": asdict(plan.tile_size),
        "device": device,
        "precision": precision,
        "image": image,
    }
    # As it will be read again.
    return dict(json.loads(json.dumps(header)))


def tile_size_of(header: dict[str, Any]) -> TileSize | None:
    """Give how the run was cut; None where the header is not one of ours."""
    try:
        fields = dict(header["tile_size"])
        y, x = fields.pop("core")
        return TileSize(core=(int(y), int(x)), **fields)
    except (KeyError, TypeError, ValueError):
        return None


def difference(there: dict[str, Any], here: dict[str, Any]) -> str:
    """Name what differs between two runs; "" where nothing does."""
    for name in ("format", "package"):
        if there.get(name) != here[name]:
            return _WORDS["package"]
    for name in ("image", "input", "model", "channels", "device", "precision"):
        if there.get(name) != here[name]:
            was, now = there.get(name), here[name]
            told = isinstance(was, str) and name in ("device", "precision")
            return f"{_WORDS[name]} ({was} there, {now} now)" if told else _WORDS[name]
    was, now = there.get("request") or {}, here["request"]
    for name in sorted(now.keys() | was.keys()):
        if was.get(name) != now.get(name):
            return f"{name.replace('_', ' ')} ({was.get(name)} there, {now.get(name)})"
    return "" if there == here else "the size of the result"


def _fingerprint(volume: Volume) -> dict[str, Any]:
    """Tell an input from another without reading it."""
    about: dict[str, Any] = {
        "axes": volume.axes,
        "shape": list(volume.shape),
        "dtype": str(volume.array.dtype),
        "voxel_size": list(volume.voxel_size or ()),
        "origin": list(volume.origin),
        "name": Path(volume.source).name or volume.name,
    }
    path = Path(volume.source) if volume.source else None
    if path is not None and path.is_dir():
        path = next((p for p in map(path.joinpath, _OF_ZARR) if p.exists()), None)
    if path is not None and path.is_file():
        facts = path.stat()
        about |= {"bytes": facts.st_size, "modified": facts.st_mtime_ns}
    return about


_OF_ZARR = ("zarr.json", ".zattrs", ".zgroup")

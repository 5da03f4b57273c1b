"""*File > Save*: image layers with their metadata and links in one OME-Zarr folder."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from pydantic import ValidationError
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.io.layers import (
    About,
    LayerRecord,
    first_fault,
    json_safe,
    write_layers,
)
from napari_sparsessp.ui.layers.metadata import COMPOSED, FILE, KEY, role_of
from napari_sparsessp.ui.layers.reading import LayerData, axis_letters
from napari_sparsessp.ui.napari_compat import layer_key

# links go by numbers in a file; where the voxels were does not matter any more
_OF_A_SESSION = ("source_id", "truth_id", "of_id", FILE)


def save_layers(path: str, layers: list[LayerData]) -> list[str]:
    """Save image layers; napari calls this from its *Save* dialogs.

    An existing folder is refused: the dialogs of most systems enter a folder, and do
    not ask whether it may be replaced.
    """
    from napari import current_viewer
    from napari.utils import progress

    viewer = current_viewer()
    saved = records_of(layers, () if viewer is None else viewer.layers)
    with progress(total=100, desc="saving layers") as bar:

        def report(done: float, total: float | None = None, what: str = "") -> None:
            bar.update(int(100 * done / (total or 1)) - bar.n)
            bar.set_description(f"saving {what}")

        return [str(write_layers(with_ending(path), saved, report))]


def ask_path(parent: QWidget, title: str, stem: str, kinds: str) -> Path | None:
    """Let the user choose where to save; None where they cancel.

    `kinds` are the dialog's filters; a name without one of their endings gets that of
    the chosen filter, and OutputError is raised where such a file exists already: the
    dialog has not asked about it.
    """
    endings = re.findall(r"\*(\.\w+)", kinds)
    name = f"{stem}{endings[0]}"
    path, kind = QFileDialog.getSaveFileName(parent, title, name, kinds)
    if not path or Path(path).suffix.lower() in endings:
        return Path(path) if path else None
    target = Path(path + re.findall(r"\*(\.\w+)", kind or kinds)[0])
    if target.exists():
        raise OutputError(f"{target} exists already; type its whole name to replace it")
    return target


def with_ending(path: str) -> str:
    """Return a path with an ending of OME-Zarr."""
    return path if path.lower().rstrip("/\\").endswith(".zarr") else f"{path}.ome.zarr"


def records_of(
    layers: Sequence[LayerData], viewer_layers: Iterable[Any] = ()
) -> list[tuple[LayerRecord, Any]]:
    """Return a record and the voxels of each layer, links between them included."""
    viewer_layers = list(viewer_layers)
    keys = [_key_of(attributes, viewer_layers) for _, attributes, _ in layers]
    names = [str(attributes.get("name")) for _, attributes, _ in layers]
    result = []
    for data, attributes, _ in layers:
        shown = SimpleNamespace(source=None, **attributes)
        if getattr(shown, "rgb", False):
            raise InputError(
                f"layer {shown.name!r} is a colour (RGB) picture; leave it out of the "
                "selection, or split it (right click > Split RGB)"
            )
        levels = bool(getattr(shown, "multiscale", False))
        array = data[0] if levels else data
        letters, _ = axis_letters(shown, tuple(array.shape), None)
        about = _about(shown)
        links = {} if about is None else _links(shown.metadata[KEY], keys, names)
        result.append((_record(shown, letters, levels, about, links), array))
    return result


def _key_of(attributes: Mapping[str, Any], layers: Sequence[Any]) -> str | None:
    """Return the key of the layer whose attributes these are: they share metadata."""
    mine = attributes.get("metadata")
    return next((layer_key(one) for one in layers if one.metadata is mine), None)


def _about(shown: Any) -> About | None:
    # what was composed to be looked at is an image like any other once it is saved
    if role_of(shown) in ("", COMPOSED):
        return None
    about = {
        key: value
        for key, value in json_safe(shown.metadata[KEY]).items()
        if key not in _OF_A_SESSION and value is not None
    }
    if about.get("state") == "running":
        about["state"] = "cancelled"  # as it is in the file
    try:
        return About.model_validate(about)
    except ValidationError:  # written by other hands; the voxels are worth saving
        return None


def _links(
    about: Mapping[str, Any], keys: Sequence[str | None], names: Sequence[str]
) -> dict[str, int | None]:
    """Number the layers that a layer came from, is compared with, is the error of."""
    numbers: dict[str, int | None] = {}
    for role in ("source", "truth", "of"):
        key, name = about.get(f"{role}_id"), about.get(role)
        if key in keys and key is not None:
            numbers[role] = keys.index(key)
        elif names.count(str(name)) == 1 and not any(keys):
            numbers[role] = names.index(str(name))
    return numbers


def _record(
    shown: Any,
    letters: str,
    multiscale: bool,
    about: About | None,
    links: Mapping[str, int | None],
) -> LayerRecord:
    try:
        return LayerRecord(
            name=str(shown.name)[:500],
            axes=letters,
            axis_labels=tuple(map(str, shown.axis_labels)),
            units=tuple(map(str, shown.units)),
            scale=tuple(map(float, shown.scale)),
            translate=tuple(map(float, shown.translate)),
            **_transforms(shown, len(letters)),
            multiscale=multiscale,
            **_colours(shown.colormap),
            contrast_limits=tuple(map(float, shown.contrast_limits)),
            gamma=float(shown.gamma),
            opacity=float(shown.opacity),
            blending=str(shown.blending),
            rendering=str(shown.rendering),
            visible=bool(shown.visible),
            about=about,
            **links,
        )
    except ValidationError as error:
        raise InputError(
            f"layer {shown.name!r} cannot be saved ({first_fault(error)}); leave it "
            "out of the selection"
        ) from error


def _transforms(shown: Any, count: int) -> dict[str, Any]:
    """Return rotation, shear and affine, where a layer has any."""
    transforms: dict[str, Any] = {}
    for name, size in (("rotate", count), ("affine", count + 1)):
        matrix = np.asarray(getattr(shown, name), float)
        if matrix.shape == (size, size) and not np.allclose(matrix, np.eye(size)):
            transforms[name] = tuple(map(tuple, matrix.tolist()))
    shear = np.asarray(shown.shear, float)
    if shear.ndim == 2:
        shear = shear[np.triu_indices(count, 1)]
    if np.any(shear):
        transforms["shear"] = tuple(shear.tolist())
    return transforms


def _colours(colormap: Any) -> dict[str, Any]:
    """Return name and colours of a colour map from the state of a layer."""
    rows = np.asarray(colormap["colors"], float).reshape(-1, 4)
    colours = tuple(map(tuple, np.clip(rows, 0, 1).round(6).tolist()))
    return {
        "colormap": str(colormap["name"]),
        "colours": colours,
        "stops": tuple(np.clip(np.asarray(colormap["controls"], float), 0, 1).tolist()),
        "stepped": str(colormap["interpolation"]) == "zero",
    }

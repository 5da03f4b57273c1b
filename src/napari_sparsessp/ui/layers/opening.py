"""*File > Open*: saved layers as they were, predictions with their provenance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.ui.layers.contrast import limits_of
from napari_sparsessp.ui.layers.metadata import (
    DEFAULT_VISIBLE,
    ERROR,
    KEY,
    PREDICTION,
    SCHEMA,
    TRUTH_SUFFIX,
    UNCERTAINTY,
    FilePlace,
    first_look,
    link_orphans,
    role_of,
    structure_of,
)
from napari_sparsessp.ui.layers.reading import (
    LayerData,
    is_light,
    layers_of,
    spatial_attributes,
)
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.tasks import BackgroundTask
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.io.layers import LayerRecord
    from napari_sparsessp.ui.layers.reading import LayerReading

# files of a Zarr group, of either version
_ZARR = ("zarr.json", ".zattrs", ".zgroup")
_TIFF = (".ome.tif", ".ome.tiff")
_RECORDED = (  # of a layer, as they are in its record
    *("name", "axis_labels", "units", "scale", "translate", "contrast_limits"),
    *("gamma", "opacity", "blending", "rendering", "visible"),
)
_FEW = 4
_PLANES_LOOKED_AT = 5


@dataclass(eq=False)
class OpenedFile:
    """Contents of a file, for the interface's thread to make layers of."""

    path: Path
    # records and resolution levels of a folder that `save_layers` wrote
    saved: "list[tuple[LayerRecord, list[Any]]]" = field(default_factory=list)
    plain: list[LayerData] = field(default_factory=list)

    def layers(self) -> list[Any]:
        """Make image layers in the file's order, not yet in any viewer."""
        from napari.layers import Image

        try:
            if self.saved:
                return _linked(self.saved, self.path)
            return [Image(data, **attributes) for data, attributes, _ in self.plain]
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.path.name} cannot be shown: {str(error).splitlines()[0][:200]}"
            ) from error


def get_reader(path: str | Sequence[str]) -> Callable[..., list[Any]] | None:
    """Return `open_file` for a folder with an OME-Zarr image; napari calls this."""
    if isinstance(path, str) and Path(path).is_dir() and _is_image(Path(path)):
        return open_file
    return None


def open_file(path: str | Sequence[str]) -> list[Any]:
    """Open a file or folder as layers."""
    first = path if isinstance(path, str) else path[0]
    return read_file(Path(first)).layers()


def read_file(path: Path, _progress: object = None) -> OpenedFile:
    """Read the headers of a file, in any thread."""
    from napari_sparsessp.io.layers import read_layers
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.io.writing import read_provenance

    if path.is_dir():
        try:
            saved = read_layers(path)
        except InputError:
            raise
        except Exception as error:  # whatever zarr raises for a damaged folder
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise InputError(
                f"{path.name} cannot be read ({reason}); copy or save it again"
            ) from error
        if saved:
            return OpenedFile(path, saved=saved)
    volume = load_volume(path)
    described = path.is_dir() or path.name.lower().endswith(_TIFF)
    about = read_provenance(path) if described else None
    if about is not None and isinstance(about.get("request"), dict):
        return OpenedFile(path, plain=prediction_layers(volume, about))
    named = volume.with_(name=volume.name or path.name.split(".")[0])
    return OpenedFile(path, plain=layers_of(named))


def prediction_layers(predicted: Volume, about: dict[str, Any]) -> list[LayerData]:
    """Return a layer for each channel of a prediction."""
    names = predicted.channel_names or ("prediction",)
    few = len({structure_of(id_, names) for id_ in names}) < _FEW
    doubts = about.get("unfamiliar")
    result: list[LayerData] = []
    for number, id_ in enumerate(names):
        one = predicted.channel(number) if "C" in predicted.axes else predicted
        structure = structure_of(id_, names)
        role = PREDICTION if structure == id_ else UNCERTAINTY
        metadata = {
            "schema_version": SCHEMA,
            "role": role,
            "structure": structure,
            "channel": id_,
            "unfamiliar": list(map(str, doubts)) if isinstance(doubts, list) else [],
            "source": "",
            "state": "done",
            "provenance": about,
            **FilePlace(predicted.source, None, number).metadata()[KEY],
        }
        attributes = {
            **first_look(structure, role),
            **spatial_attributes(one),
            "contrast_limits": _limits(one),
            "visible": role == PREDICTION and (few or id_ in DEFAULT_VISIBLE),
            "metadata": {KEY: metadata},
        }
        result.append((one.array, attributes, "image"))
    return result


def _limits(one: Volume) -> tuple[float, float]:
    """Return contrast limits of a few planes; a whole file would take its time."""
    stack = one.time(0)
    last = stack.sizes["Z"] - 1
    chosen = np.unique(np.linspace(0, last, _PLANES_LOOKED_AT).round().astype(int))
    planes = stack.planes(chosen.tolist())
    if not np.isfinite(planes).any():
        return 0.0, 1.0
    return limits_of(np.repeat(planes, 2, axis=0))  # it looks at every second plane


def _linked(saved: "Sequence[tuple[LayerRecord, list[Any]]]", path: Path) -> list[Any]:
    """Make layers as they were, and link them to each other again."""
    several = any(record.image for record, _ in saved)
    layers = [_image(record, levels, path, several) for record, levels in saved]
    for layer, (record, _) in zip(layers, saved, strict=True):
        about = layer.metadata[KEY]
        if record.source is not None:
            about["source"] = str(layers[record.source].name)
            about["source_id"] = layer_key(layers[record.source])
        if record.truth is not None:
            about["truth"] = str(layers[record.truth].name)
        for name, number in (("truth_id", record.truth), ("of_id", record.of)):
            if number is not None or role_of(layer) == ERROR:
                about[name] = None if number is None else layer_key(layers[number])
    return layers


def _image(
    record: "LayerRecord", levels: Sequence[Any], path: Path, series: bool
) -> Any:
    from napari.layers import Image

    several = record.multiscale and len(levels) > 1
    channel = None if "C" in record.axes else record.channel
    place = FilePlace(str(path), record.image if series else None, channel)
    about = {} if record.about is None else record.about.model_dump(mode="json")
    metadata = {key: value for key, value in about.items() if value is not None}
    names = ("rotate", "shear", "affine")
    given = {name: getattr(record, name) for name in names}
    transforms = {n: np.asarray(v) for n, v in given.items() if v is not None}
    return Image(
        list(levels) if several else levels[0],
        multiscale=several,
        rgb=False,
        colormap=_colormap(record),
        metadata={KEY: {**metadata, **place.metadata()[KEY]}},
        **{name: getattr(record, name) for name in _RECORDED},
        **transforms,
    )


def _colormap(record: "LayerRecord") -> Any:
    """Return the name of a colour map where napari has the very same one."""
    from napari.utils.colormaps import AVAILABLE_COLORMAPS, Colormap

    if not record.colours:
        return record.colormap
    known = AVAILABLE_COLORMAPS.get(record.colormap)
    same = known is not None and np.shape(known.colors) == np.shape(record.colours)
    if same and np.allclose(known.colors, record.colours, atol=1e-5):
        return record.colormap
    how: dict[str, Any] = {"interpolation": "zero" if record.stepped else "linear"}
    if record.stops:
        how["controls"] = record.stops
    return Colormap(record.colours, name=record.colormap, **how)


def _is_image(folder: Path) -> bool:
    from napari_sparsessp.io.zarr_reading import is_image

    if not any((folder / name).is_file() for name in _ZARR):
        return False
    try:
        return is_image(folder)
    except Exception:  # whatever is wrong with it, others may know what it is
        return False


FILTER = (
    "Image stacks (*.ome.tif *.ome.tiff *.tif *.tiff *.nd2 zarr.json .zattrs);;"
    "All files (*)"
)


Use = Literal["input", "truth", "image"]
_USES = {"input": "a stack to predict from", "truth": "a ground truth"}
_USES["image"] = "an image"


class FileOpening(QObject):
    """Asks for a file, reads its header in a thread and adds layers."""

    opened = Signal(str)  # key of the first added layer that is no prediction
    truths_opened = Signal(object)  # [(key, name)] of layers of a ground truth
    failed = Signal(object)

    def __init__(self, viewer: Any, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer = viewer

    def ask(self, use: Use = "input") -> None:
        """Let the user choose a file."""
        title = f"Open {_USES[use]}"
        path, _ = QFileDialog.getOpenFileName(self.parent(), title, "", FILTER)
        if path:
            self.open(path, use)

    def open(self, path: str | Path, use: Use = "input") -> None:
        """Open a file or folder; `opened`, `truths_opened` or `failed` may follow."""
        path = Path(path)
        # a file of Zarr's own stands for its folder: dialogs choose files only
        folder = path.parent if path.name in _ZARR else path
        task = BackgroundTask(read_file, folder, parent=self)
        task.returned.connect(partial(self._on_read, use))
        task.failed.connect(self.failed)
        task.start()

    def _on_read(self, use: Use, opened: OpenedFile) -> None:
        try:
            layers = opened.layers()
            if use == "truth":  # the light that was imaged with it is none
                layers = [one for one in layers if not is_light(one)] or layers
            for layer in layers:
                if use == "truth" and not role_of(layer):
                    layer.name = f"{layer.name}{TRUTH_SUFFIX}"
                    layer.visible = False
                self._viewer.add_layer(layer)
        except Exception as error:  # of napari, about what the file says
            self.failed.emit(error)
            return
        link_orphans(self._viewer)
        images = [(layer_key(x), str(x.name)) for x in layers if not role_of(x)]
        if images and use == "input":
            self.opened.emit(images[0][0])
        elif use == "truth":
            self.truths_opened.emit(images)


Size = tuple[float, float, float]


class RecordedSize(QObject):
    """Reads the voxel size that the file of a layer records; once for each layer."""

    found = Signal(str, object)  # key of the layer, and (z, y, x) in µm

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._sizes: dict[str, Size | None] = {}

    def look(self, layer: Any | None, reading: "LayerReading | None") -> None:
        """Read the size of a layer whose scale says nothing; `found` may follow."""
        if layer is None or reading is None or reading.volume.voxel_size is not None:
            return
        key, path = layer_key(layer), getattr(layer.source, "path", None)
        if key in self._sizes:
            self._on_size((key, self._sizes[key]))
        elif path and Path(path).exists():
            self._sizes[key] = None
            task = BackgroundTask(_recorded_size, key, Path(path), parent=self)
            task.returned.connect(self._on_size)
            task.start()

    def _on_size(self, recorded: tuple[str, Size | None]) -> None:
        key, size = recorded
        self._sizes[key] = size
        if size is not None:
            self.found.emit(key, size)


def _recorded_size(key: str, path: Path, _progress: object) -> tuple[str, Size | None]:
    """Read (z, y, x) in µm from the header of a layer's file."""
    from napari_sparsessp.io.reading import load_volume

    return key, load_volume(path).voxel_size

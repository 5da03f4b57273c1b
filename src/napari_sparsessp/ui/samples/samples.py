"""*File > Open Sample*: a simulated colony at hand, and real stacks on demand."""

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QApplication

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.layers.contrast import light_limits_of, limits_of
from napari_sparsessp.ui.layers.volume_layers import (
    LayerData,
    layers_of,
    spatial_attributes,
)
from napari_sparsessp.ui.preferences import preferences
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    pass

TRUTH_SUFFIX = " · truth"

COLONY = "sparse_colony"
"""Key of the sample that comes with the package."""


def sparse_colony() -> list[LayerData]:
    """Open the bundled colony: bright-field at every 4th plane, twelve truths.

    Returns
    -------
    list of (data, attributes, "image")
        The transmitted light, then one hidden layer for each structure.
    """
    from napari_sparsessp.io.samples import sample_paths

    light_path, truth_path = sample_paths()
    light = _read(light_path).with_(channel_names=(), name="Colony · bright-field")
    layers = [
        (data, attributes | {"contrast_limits": light_limits_of(data)}, kind)
        for data, attributes, kind in layers_of(light)
    ]
    for data, attributes, kind in layers_of(_read(truth_path), suffix=TRUTH_SUFFIX):
        layers.append((data, attributes | {"contrast_limits": limits_of(data)}, kind))
    return layers


def hipsc_field() -> list[LayerData]:
    """Open a whole field of view of an hiPSC colony; asks before it is fetched."""
    return _on_demand("hipsc_field")


def hipsc_dna_pair() -> list[LayerData]:
    """Open bright-field with DNA as truth; asks before it is fetched."""
    return _on_demand("hipsc_dna_pair")


def neurons() -> list[LayerData]:
    """Open neurons in phase contrast with three stains; asks before it is fetched."""
    return _on_demand("neurons")


def yeast_timelapse() -> list[LayerData]:
    """Open yeast at five time points; asks before it is fetched."""
    return _on_demand("yeast_timelapse")


def blood_cells() -> list[LayerData]:
    """Open a Nikon file with one plane; asks before it is fetched."""
    return _on_demand("blood_cells")


def sample_layers(key: str) -> list[LayerData]:
    """Open a sample that is here.

    Parameters
    ----------
    key : str
        `COLONY`, or of a public sample.

    Returns
    -------
    list of (data, attributes, "image")

    Raises
    ------
    InputError
        It is not here, or damaged.
    """
    from napari_sparsessp.io.samples import PUBLIC_SAMPLES, open_sample

    if key == COLONY:
        return sparse_colony()
    first, *others = map(_in_memory, open_sample(PUBLIC_SAMPLES[key]))
    layers = [_shown(one) for one in layers_of(first, suffix=TRUTH_SUFFIX)]
    for truth in others:
        layers += _stains(truth)
    return layers


def _on_demand(key: str) -> list[LayerData]:
    """Open a public sample, once the user has agreed to what it takes."""
    from napari_sparsessp.io.samples import PUBLIC_SAMPLES
    from napari_sparsessp.ui.samples.sample_dialog import SampleDialog

    if PUBLIC_SAMPLES[key].is_here:
        return sample_layers(key)
    wanted: list[str] = []
    dialog: SampleDialog = SampleDialog(QApplication.activeWindow())
    dialog.ready.connect(wanted.append)
    dialog.choose(key)
    dialog.exec()  # napari wants the layers when this function ends
    if not wanted:
        raise InputError(
            "no sample was opened; choose it again when you want to fetch it"
        )
    return sample_layers(wanted[0])


def _shown(layer: LayerData) -> LayerData:
    """Set the contrast of a stack; a time-lapse by its first time point."""
    data, attributes, kind = layer
    stack = data[0] if data.ndim == 4 else data
    light = attributes.get("colormap") == "gray"
    limits = light_limits_of(stack) if light else limits_of(stack)
    return data, attributes | {"contrast_limits": limits}, kind


def _stains(truth: Volume) -> list[LayerData]:
    """Give a hidden layer for each channel of a truth, named by its structure's id."""
    layers: list[LayerData] = []
    for id_ in truth.channel_names:
        one = truth.channel(id_)
        attributes = {
            "name": f"{structure_or_custom(id_).label}{TRUTH_SUFFIX}",
            "colormap": preferences().colour(id_),
            "blending": "additive",
            "visible": False,
            "contrast_limits": limits_of(one.array),
            **spatial_attributes(one),
        }
        layers.append((one.array, attributes, "image"))
    return layers


def _in_memory(volume: Volume) -> Volume:
    """Read a small image at once; a lazy array opens its file for each plane."""
    return volume.with_(array=volume.numpy())


def _read(path: Path) -> Volume:
    """Read a bundled file by the quickest way."""
    import tifffile

    from napari_sparsessp.io.reading import load_volume

    volume = load_volume(path)
    return volume.with_(array=tifffile.imread(path).reshape(volume.shape))

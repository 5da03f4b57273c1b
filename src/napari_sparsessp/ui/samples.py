"""*File > Open Sample*: a sparse simulated colony and what is really in it."""

from pathlib import Path

from napari_sparsessp.ui.contrast import light_limits_of, limits_of
from napari_sparsessp.ui.volume_layers import LayerData, layers_of
from napari_sparsessp.volume import Volume

TRUTH_SUFFIX = " · truth"


def sparse_colony() -> list[LayerData]:
    """Open the bundled colony: bright-field at every 4th plane, twelve truths.

    Returns
    -------
    list of (data, attributes, "image")
        The transmitted light, then one hidden layer for each structure.
    """
    from napari_sparsessp.io.sample import sample_paths

    light_path, truth_path = sample_paths()
    light = _read(light_path).with_(channel_names=(), name="Colony · bright-field")
    layers = [
        (data, attributes | {"contrast_limits": light_limits_of(data)}, kind)
        for data, attributes, kind in layers_of(light)
    ]
    for data, attributes, kind in layers_of(_read(truth_path), suffix=TRUTH_SUFFIX):
        layers.append((data, attributes | {"contrast_limits": limits_of(data)}, kind))
    return layers


def _read(path: Path) -> Volume:
    """Read a small file at once; a lazy array would open it again for each plane."""
    import tifffile

    from napari_sparsessp.io.reading import load_volume

    volume = load_volume(path)
    return volume.with_(array=tifffile.imread(path).reshape(volume.shape))

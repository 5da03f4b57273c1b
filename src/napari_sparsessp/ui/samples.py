"""*File > Open Sample*: a sparse simulated colony and what is really in it."""

from napari_sparsessp.ui.contrast import limits_of
from napari_sparsessp.ui.volume_layers import LayerData, layers_of

TRUTH_SUFFIX = " · truth"


def sparse_colony() -> list[LayerData]:
    """Open the bundled colony: bright-field at every 4th plane, twelve truths.

    Returns
    -------
    list of (data, attributes, "image")
        The transmitted light, then one hidden layer for each structure.
    """
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.io.sample import sample_paths

    light_path, truth_path = sample_paths()
    light = load_volume(light_path).with_(
        channel_names=(), name="Colony · bright-field"
    )
    truth = load_volume(truth_path)
    layers = layers_of(light)
    for data, attributes, kind in layers_of(truth, suffix=TRUTH_SUFFIX):
        layers.append((data, attributes | {"contrast_limits": limits_of(data)}, kind))
    return layers

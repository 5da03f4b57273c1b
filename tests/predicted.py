"""The predictions in a viewer."""


def predictions(viewer):
    """Their layers, from the bottom up."""
    from napari_sparsessp.ui.layers.metadata import is_prediction

    return [layer for layer in viewer.layers if is_prediction(layer)]


def by_structure(viewer):
    """The same, by the id of what they show."""
    from napari_sparsessp.ui.layers.metadata import KEY

    return {layer.metadata[KEY]["structure"]: layer for layer in predictions(viewer)}

"""Show a prediction in napari: ``python -m napari_sparsessp.ui.show TL PREDICTION``.

The layers lie side by side where there is a truth, with the Predict dock beside them.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer

from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.writing import read_provenance
from napari_sparsessp.ui.dock import open_predict
from napari_sparsessp.ui.layers.contrast import limits_of, truth_scale
from napari_sparsessp.ui.layers.metadata import TRUTH_SUFFIX, add_to
from napari_sparsessp.ui.layers.opening import prediction_layers
from napari_sparsessp.ui.layers.reading import layers_of, read_layer
from napari_sparsessp.ui.layouts.arrangement import OVERLAY, SIDE_BY_SIDE
from napari_sparsessp.ui.napari_compat import fit_to_view, layer_key, layer_with_key
from napari_sparsessp.volume import Volume

# Scores are computed here only for images small enough to wait for.
_MOST_VOXELS = 40_000_000


def show(light: Path, prediction: Path, truth: Path | None = None) -> tuple[Any, Any]:
    """Open a viewer with all layers; return it and its Predict dock."""
    import napari

    lit = load_volume(light)
    predicted = load_volume(prediction)
    real = None if truth is None else load_volume(truth)
    about = read_provenance(prediction) or {}
    viewer = napari.Viewer(title="SparseSSP", show=False)
    for data, attributes, _ in layers_of(lit, visible=True):
        viewer.add_image(data, **attributes)
    source = viewer.layers[0]
    if real is not None:
        for data, attributes, _ in layers_of(real, suffix=TRUTH_SUFFIX):
            limits = limits_of(data) if data.ndim == 3 else None
            viewer.add_image(data, **attributes, contrast_limits=limits)
    _add_predictions(viewer, predicted, source, about)
    dock = open_predict(viewer)
    dock.shelf.offer(str((about.get("model") or {}).get("id", "")))
    dock.refresh_now()
    if real is not None:
        scores = _scores(predicted, real)
        for id_, key in dock.form.structures.truths().items():
            layer = layer_with_key(viewer, key)
            dock.session.truth_scales[id_, key] = truth_scale(read_layer(layer).volume)
            if id_ in scores:
                dock.layers.set_truth(id_, key)
                add_to(dock.layers.layer(id_), scores=scores[id_])
        dock.refresh_now()
    dock.view.show(OVERLAY if real is None else SIDE_BY_SIDE)
    return viewer, dock


def main(arguments: list[str] | None = None) -> int:
    """Show the files that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m napari_sparsessp.ui.show", description=__doc__
    )
    parser.add_argument("light", type=Path, help="transmitted-light stack")
    parser.add_argument("prediction", type=Path, help="what was predicted from it")
    parser.add_argument("truth", type=Path, nargs="?", help="the real structures")
    parser.add_argument("--screenshot", type=Path, help="save a picture and close")
    options = parser.parse_args(arguments)
    try:
        viewer, _ = show(options.light, options.prediction, options.truth)
    except SparseSSPError as error:
        sys.stderr.write(f"sparsessp: error: {error}\n")
        return 2
    window = viewer.window._qt_window
    window.resize(1600, 1000)
    window.show()
    # the canvas has its true size only once the window is up
    QTimer.singleShot(300, lambda: fit_to_view(viewer))
    if options.screenshot is not None:
        QTimer.singleShot(1500, lambda: _save_and_close(viewer, options.screenshot))
    import napari

    napari.run()
    return 0


def _add_predictions(
    viewer: Any, predicted: Volume, source: Any, about: dict[str, Any]
) -> None:
    """Add a layer for each structure, tied to the transmitted light it came from."""
    for data, attributes, _ in prediction_layers(predicted, about):
        layer = viewer.add_image(data, **attributes)
        add_to(layer, source=str(source.name), source_id=layer_key(source))


def _scores(predicted: Volume, real: Volume) -> dict[str, dict[str, float | None]]:
    """Score the structures whose truth lies on the prediction's grid."""
    from napari_sparsessp.metrics import PixelSums, zscore_truth

    same = predicted.axes == real.axes == "CZYX"
    same = same and predicted.shape[1:] == real.shape[1:]
    if not same or predicted.array.size > _MOST_VOXELS:
        return {}
    scores = {}
    for id_ in set(predicted.channel_names) & set(real.channel_names):
        sums, truth = PixelSums(), zscore_truth(real.channel(id_).numpy())
        sums.update(predicted.channel(id_).numpy(), truth)
        scores[id_] = {"r2": sums.r2, "pcc": sums.pcc}
    return scores


def _save_and_close(viewer: Any, path: Path) -> None:
    """Save the whole window, docks included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    sys.exit(main())

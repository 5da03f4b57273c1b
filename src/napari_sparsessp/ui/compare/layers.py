"""Layers that a comparison makes: errors, and truth and prediction in one picture."""

from typing import Any

import numpy as np
from qtpy.QtCore import QObject

from napari_sparsessp.evaluation.figures import ERROR_LIMIT, TOO_HIGH, TOO_LOW
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.compare.composed import Composed, Pattern
from napari_sparsessp.ui.compare.pairs import Pair
from napari_sparsessp.ui.compat import layer_key, layer_with_key
from napari_sparsessp.ui.layers.marks import (
    COMPOSED,
    ERROR,
    KEY,
    SCHEMA,
    add_to,
    model_of,
    role_of,
)

OUTDATED = " · outdated"
"""Ends the name of an error whose prediction or truth is another by now."""

# Black on black says "no error"; blue and orange are told apart by all eyes.
_ERROR_COLOURS = {
    "name": "too dark – right – too bright",
    "colors": [
        [*(value / 255 for value in TOO_LOW), 1.0],
        [0.0, 0.0, 0.0, 1.0],
        [*(value / 255 for value in TOO_HIGH), 1.0],
    ],
}


class CompareLayers(QObject):
    """Makes and renews these layers in a viewer.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject, optional
    """

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._composed: dict[str, str] = {}

    # errors -------------------------------------------------------------------

    def error_of(self, prediction_key: str) -> Any | None:
        """Error of a prediction; None where there is none, or it was deleted."""
        return next(
            (
                layer
                for layer in self._viewer.layers
                if role_of(layer) == ERROR
                and layer.metadata[KEY].get("of_id") == prediction_key
            ),
            None,
        )

    def show_error(self, pair: Pair, values: np.ndarray) -> Any | None:
        """Add the error of a prediction, or renew the one that is there.

        Parameters
        ----------
        pair : Pair
        values : ndarray
            (D, H, W).

        Returns
        -------
        Layer or None
            None where the prediction is gone.
        """
        prediction = layer_with_key(self._viewer, pair.prediction_key)
        if prediction is None:
            return None
        about = _about(ERROR, pair, prediction)
        label = structure_or_custom(pair.structure).label
        when = "" if pair.time is None else f" · time {pair.time + 1}"
        layer = self.error_of(pair.prediction_key)
        if layer is None:
            with self._keeping_active():
                return self._viewer.add_image(
                    values,
                    name=f"{label} · error{when}",
                    colormap=_ERROR_COLOURS,
                    contrast_limits=(-ERROR_LIMIT, ERROR_LIMIT),
                    blending="additive",
                    metadata={KEY: about},
                    **place_of(prediction, 3),
                )
        layer.data = values
        layer.metadata = {**layer.metadata, KEY: about}
        layer.name = _renamed(str(layer.name).removesuffix(OUTDATED), when)
        return layer

    def outdate(self, layer: Any) -> None:
        """Say of an error that it is that of an earlier prediction or truth."""
        add_to(layer, state="outdated")
        if not str(layer.name).endswith(OUTDATED):
            layer.name = f"{layer.name}{OUTDATED}"

    # compositions -------------------------------------------------------------

    def compose(self, pair: Pair, truth: np.ndarray, pattern: Pattern) -> Any | None:
        """Add the layer in which truth and prediction take turns.

        Parameters
        ----------
        pair : Pair
        truth : ndarray
            (D, H, W), z-scored, on the prediction's grid.
        pattern : Pattern

        Returns
        -------
        Layer or None
            None where the prediction is gone.
        """
        prediction = layer_with_key(self._viewer, pair.prediction_key)
        if prediction is None:
            return None
        self._remove(self._composed.pop(pair.structure, ""))
        label = structure_or_custom(pair.structure).label
        with self._keeping_active():
            layer = self._viewer.add_image(
                Composed(truth, pair.prediction.array, pattern),
                name=f"{label} · truth | predicted",
                colormap=prediction.colormap,
                contrast_limits=prediction.contrast_limits,
                gamma=prediction.gamma,
                blending="additive",
                metadata={KEY: _about(COMPOSED, pair, prediction)},
                **place_of(prediction, 3),
            )
        self._composed[pair.structure] = layer_key(layer)
        return layer

    def composed(self) -> dict[str, Any]:
        """Compositions that are still there, by structure."""
        found = {
            id_: layer_with_key(self._viewer, key)
            for id_, key in self._composed.items()
        }
        return {id_: layer for id_, layer in found.items() if layer is not None}

    def set_pattern(self, pattern: Pattern) -> None:
        """Divide all compositions in another way."""
        for layer in self.composed().values():
            layer.data.pattern = pattern
            layer.refresh(thumbnail=False, highlight=False, extent=False)

    def remove_composed(self, structure: str | None = None) -> None:
        """Take one or all away: they are a way to look, not a result."""
        ids = list(self._composed) if structure is None else [structure]
        for id_ in ids:
            self._remove(self._composed.pop(id_, ""))

    def _remove(self, key: str) -> None:
        layer = layer_with_key(self._viewer, key or None)
        if layer is not None:
            self._viewer.layers.remove(layer)

    def _keeping_active(self) -> "_KeepingActive":
        return _KeepingActive(self._viewer)


class _KeepingActive:
    """Leaves the user's layer active while another is added."""

    def __init__(self, viewer: Any) -> None:
        self._selection = viewer.layers.selection

    def __enter__(self) -> None:
        self._active = self._selection.active

    def __exit__(self, *_error: object) -> None:
        if self._active is not None:
            self._selection.active = self._active


def place_of(layer: Any, ndim: int) -> dict[str, Any]:
    """Give the arguments that put a layer of the last axes where this one lies.

    Parameters
    ----------
    layer : Layer
    ndim : int
        Of the new layer, at most that of `layer`.
    """
    shear = np.asarray(layer.shear, float)
    if shear.ndim == 1:
        full = np.eye(layer.ndim)
        full[np.triu_indices(layer.ndim, 1)] = shear
        shear = full
    return {
        "scale": layer.scale[-ndim:],
        "translate": layer.translate[-ndim:],
        "rotate": np.asarray(layer.rotate)[-ndim:, -ndim:],
        "shear": shear[-ndim:, -ndim:][np.triu_indices(ndim, 1)],
        "affine": np.asarray(layer.affine)[-ndim - 1 :, -ndim - 1 :],
        "units": layer.units[-ndim:],
        "axis_labels": layer.axis_labels[-ndim:],
    }


def _about(role: str, pair: Pair, prediction: Any) -> dict[str, Any]:
    of = prediction.metadata[KEY]
    return {
        "schema_version": SCHEMA,
        "role": role,
        "structure": pair.structure,
        "channel": f"{pair.structure}_{role}",
        "source": of.get("source", ""),
        "source_id": of.get("source_id"),
        "model": model_of(prediction),
        "of_id": pair.prediction_key,
        "truth_id": pair.truth_key,
        "time": pair.time,
        "state": "done",
    }


def _renamed(name: str, when: str) -> str:
    """Keep the user's name but for the time point."""
    head = name.rsplit(" · time ", 1)[0]
    return f"{head}{when}"

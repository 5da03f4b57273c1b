"""Layers that a comparison makes: errors, and truth and prediction in one picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_sparsessp.evaluation.figures import ERROR_LIMIT, TOO_HIGH, TOO_LOW
from napari_sparsessp.structures import structure_or_custom
from napari_sparsessp.ui.compare.comparison import Pair
from napari_sparsessp.ui.layers.metadata import (
    COMPOSED,
    ERROR,
    KEY,
    SCHEMA,
    add_to,
    model_of,
    role_of,
)
from napari_sparsessp.ui.layers.viewport import data_position
from napari_sparsessp.ui.napari_compat import camera_of, layer_key, layer_with_key


class Pattern(Protocol):
    """Says where the truth is shown."""

    def truth(self, height: int, width: int) -> np.ndarray:
        """Give (height, width) bool."""


@dataclass(frozen=True)
class Swipe:
    """Truth on the left of a border, prediction on the right.

    Attributes
    ----------
    share : float
        Where the border is, from 0 to 1 of the width.
    """

    share: float = 0.5

    def truth(self, height: int, width: int) -> np.ndarray:
        """Give the left part."""
        left = np.arange(width) < round(self.share * width)
        return np.broadcast_to(left, (height, width))


@dataclass(frozen=True)
class Checkerboard:
    """Truth on the dark fields of a checkerboard.

    Attributes
    ----------
    field : float
        Side of a field in pixels, at least 1.
    """

    field: float = 64

    def truth(self, height: int, width: int) -> np.ndarray:
        """Give every other field, the first one included."""
        side = max(self.field, 1)
        rows = (np.arange(height) // side).astype(int)[:, None]
        return (rows + (np.arange(width) // side).astype(int)) % 2 == 0


class Composed:
    """A stack that is taken from two others, plane by plane as it is looked at.

    It serves napari as an array: a border is dragged without a voxel being copied.

    Parameters
    ----------
    truth, prediction : ndarray
        (D, H, W), both in standard deviations of the truth.
    pattern : Pattern
        May be changed at any time.
    """

    ndim = 3
    dtype = np.dtype(np.float32)

    def __init__(self, truth: Any, prediction: Any, pattern: Pattern) -> None:
        self._truth, self._prediction = truth, prediction
        self.pattern = pattern
        self.shape = tuple(int(n) for n in prediction.shape)
        self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        mask = np.broadcast_to(self.pattern.truth(*self.shape[1:]), self.shape)
        found = np.asarray(self._prediction[key], np.float32)
        return np.where(mask[key], self._truth[key], found)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


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


# Screen pixels on either side of the border in which it can be grasped.
_REACH = 12.0


class SwipeHandle(QObject):
    """A line across a composed layer that follows the mouse.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject, optional

    Signals
    -------
    moved : float
        Share of the width at which the user has put the border.
    """

    moved = Signal(float)

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._over: str | None = None
        self._line: str | None = None
        self._share = 0.5
        self._grasped = False

    @property
    def on(self) -> bool:
        """Whether there is a border."""
        return self._over is not None

    def lay_over(self, layer: Any, share: float) -> None:
        """Draw the border over a composed layer, and listen to the mouse.

        Parameters
        ----------
        layer : napari.layers.Image
            (D, H, W).
        share : float
        """
        self.take_away()
        self._over, self._share = layer_key(layer), share
        active = self._viewer.layers.selection.active
        line = self._viewer.add_shapes(
            self._shapes(layer),
            shape_type=["line", "rectangle", "rectangle"],
            edge_color=["white", "transparent", "transparent"],
            face_color="transparent",
            opacity=1.0,
            edge_width=max(layer.data.shape[-1] / 400, 0.4),
            name="border · drag it",
            text={
                "string": ["", "truth", "predicted"],
                "color": "white",
                "size": 11,
                "anchor": "center",
            },
            metadata={KEY: {"schema_version": SCHEMA, "role": COMPOSED}},
            **place_of(layer, 2),
        )
        self._line = layer_key(line)
        self._viewer.layers.selection.active = layer if active is None else active
        self._viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        self._on_ndisplay()
        self._viewer.mouse_move_callbacks.append(self._on_move)
        self._viewer.mouse_drag_callbacks.append(self._on_drag)

    def take_away(self) -> None:
        """Remove the border and leave the mouse to napari."""
        for callbacks, mine in (
            (self._viewer.mouse_move_callbacks, self._on_move),
            (self._viewer.mouse_drag_callbacks, self._on_drag),
        ):
            if mine in callbacks:
                callbacks.remove(mine)
        if self.on:
            self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        self._release()
        line = layer_with_key(self._viewer, self._line)
        self._over = self._line = None
        if line is not None:
            self._viewer.layers.remove(line)

    def put(self, share: float) -> None:
        """Put the border somewhere else, without telling anyone."""
        self._share = share
        layer = layer_with_key(self._viewer, self._over)
        line = layer_with_key(self._viewer, self._line)
        flat = self._viewer.dims.ndisplay == 2
        if layer is not None and line is not None and flat:
            line.data = self._shapes(layer)

    def _on_ndisplay(self, _event: Any = None) -> None:
        """A border lies in the plane that is seen: in 3D there is none."""
        line = layer_with_key(self._viewer, self._line)
        if line is not None:
            line.visible = self._viewer.dims.ndisplay == 2
            self.put(self._share)

    def _shapes(self, layer: Any) -> list[np.ndarray]:
        """The border, and on each side an unseen box that carries a word."""
        height, width = layer.data.shape[-2:]
        x = round(self._share * width) - 0.5
        deep = 0.1 * height
        return [
            np.array([[-0.5, x], [height - 0.5, x]]),
            _box(min(-0.5, x - 1), x, deep),
            _box(x, max(width - 0.5, x + 1), deep),
        ]

    def _near(self, event: Any) -> bool:
        """Whether the mouse is at the border, in a 2D view of y and x."""
        layer, dims = layer_with_key(self._viewer, self._over), self._viewer.dims
        if layer is None or dims.ndisplay != 2:
            return False
        if tuple(dims.displayed) != (dims.ndim - 2, dims.ndim - 1):
            return False
        border = round(self._share * layer.data.shape[-1]) - 0.5
        away = abs(self._x(layer, event) - border) * abs(float(layer.scale[-1]))
        return bool(away * camera_of(self._viewer).zoom <= _REACH)

    def _x(self, layer: Any, event: Any) -> float:
        return float(data_position(self._viewer, layer, event.position)[-1])

    def _on_move(self, _viewer: Any, event: Any) -> None:
        """Say by the cursor that the border can be grasped, and hold the camera."""
        near = self._near(event)
        if near and not self._grasped:
            self._grasped = True
            camera_of(self._viewer).mouse_pan = False
            self._viewer.cursor.style = "pointing"
        elif not near and self._grasped:
            self._release()

    def _on_drag(self, _viewer: Any, event: Any) -> Iterator[None]:
        if not self._near(event):
            return
        yield
        while event.type == "mouse_move":
            layer = layer_with_key(self._viewer, self._over)
            if layer is None:
                return
            width = layer.data.shape[-1]
            share = (self._x(layer, event) + 0.5) / width
            self.put(float(np.clip(share, 0, 1)))
            self.moved.emit(self._share)
            yield

    def _release(self) -> None:
        if self._grasped:
            self._grasped = False
            camera_of(self._viewer).mouse_pan = True
            self._viewer.cursor.style = "standard"


def _box(left: float, right: float, deep: float) -> np.ndarray:
    return np.array([[0, left], [0, right], [deep, right], [deep, left]])

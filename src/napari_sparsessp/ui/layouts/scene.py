"""Which layers belong together: an input, its predictions and all that judges them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_sparsessp.ui.inputs.structure_row import Row
from napari_sparsessp.ui.layers.linked_contrast import Scale
from napari_sparsessp.ui.layers.marks import ERROR, KEY, role_of
from napari_sparsessp.ui.napari_compat import layer_key, layer_with_key


@dataclass(frozen=True)
class Scene:
    """The layers that a layout is about, by structure where there are several.

    Attributes
    ----------
    source : Layer or None
        The transmitted light.
    truths, predictions : dict
        Structure id to layer.
    shown : tuple of str
        Structures that the user wants to see.
    uncertainties, errors : dict
        Structure id to the layer of its uncertainty, or of its error.
    unsure, wrong : tuple of str
        Structures whose uncertainty, or error, the user wants to see.
    composed : dict
        Structure id to the layer that shows truth and prediction in turns.
    scales : dict
        Mean and standard deviation of a truth, by structure, where they are known.
    """

    source: Any | None
    truths: dict[str, Any]
    predictions: dict[str, Any]
    shown: tuple[str, ...]
    uncertainties: dict[str, Any] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()
    scales: dict[str, Scale] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    composed: dict[str, Any] = field(default_factory=dict)

    def cells(self) -> list[list[Any]]:
        """Give the layers of each cell; a cell without layers is left out."""
        cells = [
            [] if self.source is None else [self.source],
            _of(self.truths, self.shown),
            _of(self.predictions, self.shown),
            _of(self.errors, self.wrong),
            _of(self.uncertainties, self.unsure),
        ]
        return [cell for cell in cells if cell]

    def gallery(self) -> list[list[Any]]:
        """Give a cell to the input and to each prediction."""
        first = [] if self.source is None else [[self.source]]
        return first + [[layer] for layer in self.predictions.values()]


def _of(layers: Mapping[str, Any], ids: Sequence[str]) -> list[Any]:
    return [layers[id_] for id_ in ids if id_ in layers]


def scene_of(
    viewer: Any,
    source: Any | None,
    rows: Sequence[Row],
    predictions: dict[str, Any],
    scales: Mapping[tuple[str, str], Scale] | None = None,
) -> Scene:
    """Collect the layers that belong together and are still there.

    Parameters
    ----------
    viewer : napari.Viewer
    source : Layer or None
        The input.
    rows : sequence of Row
        Structures with their truth layers and eyes.
    predictions : dict
        Structure id to layer.
    scales : mapping, optional
        Structure id and truth layer's key to the truth's mean and deviation.
    """
    known = scales or {}
    truths = {row.structure.id: layer_with_key(viewer, row.truth) for row in rows}
    key = None if source is None else layer_key(source)
    errors = {
        str(layer.metadata[KEY]["structure"]): layer
        for layer in viewer.layers
        if role_of(layer) == ERROR and layer.metadata[KEY].get("source_id") == key
    }
    return Scene(
        source=layer_with_key(viewer, key),
        truths={id_: layer for id_, layer in truths.items() if layer is not None},
        predictions=predictions,
        shown=tuple(row.structure.id for row in rows if row.visible),
        unsure=tuple(row.structure.id for row in rows if row.spread),
        scales={
            row.structure.id: known[row.structure.id, row.truth]
            for row in rows
            if row.truth is not None and (row.structure.id, row.truth) in known
        },
        errors=errors,
        wrong=tuple(id_ for id_, layer in errors.items() if layer.visible),
    )

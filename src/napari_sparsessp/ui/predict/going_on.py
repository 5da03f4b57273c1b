"""Predictions that a file has brought: the dock goes on as if it had made them."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.inputs.structure_model import StructureModel
from napari_sparsessp.ui.layers.file import FILE
from napari_sparsessp.ui.layers.marks import KEY, is_prediction, model_of, truth_of
from napari_sparsessp.ui.models.model_shelf import ModelShelf
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.predict.form import PredictForm


class GoingOn:
    """Chooses, once, what opened predictions of the chosen stack were made with.

    Parameters
    ----------
    viewer : napari.Viewer
    form : PredictForm
    shelf : ModelShelf
    """

    def __init__(self, viewer: Any, form: PredictForm, shelf: ModelShelf) -> None:
        self._viewer = viewer
        self._form = form
        self._shelf = shelf
        self._seen: set[str] = set()
        self._news = False

    def has_news(self) -> bool:
        """Tell, once, whether predictions have come that nobody has arranged yet."""
        news, self._news = self._news, False
        return news

    def look(self) -> None:
        """Look for predictions that have just been opened."""
        key = self._form.input.layer_key()
        opened = [one for one in self._viewer.layers if _is_opened(one, key)]
        fresh = [one for one in opened if layer_key(one) not in self._seen]
        self._seen |= {layer_key(one) for one in opened}
        if not fresh:
            return
        model, shown = model_of(fresh[-1]), [(one, one.visible) for one in opened]
        if model != self._form.topology.model_id():
            self._shelf.choose(model)
        for layer, visible in shown:  # another model's would be shown by habit
            layer.visible = visible
        self._news = True
        if model == self._form.topology.model_id():
            self._choose([one for one in fresh if model_of(one) == model])

    def _choose(self, predictions: list[Any]) -> None:
        """Choose in the form what was chosen for them."""
        form, about = self._form, predictions[-1].metadata[KEY]
        form.structures.tick(str(one.metadata[KEY]["structure"]) for one in predictions)
        asked = about.get("request") or about.get("provenance", {}).get("request")
        try:
            request = PredictionRequest.model_validate(asked)
        except ValidationError:  # of another version: the form stays as it is
            return
        form.sampling.set_simulate(request.simulate_sparse)
        form.sampling.set_ratio(request.ratio)
        if request.voxel_size is not None:
            form.input.type_voxel_size(request.voxel_size)
        form.options.tta_box.setChecked(request.tta)
        form.options.uncertainty_box.setChecked(request.uncertainty)


def take_up(structures: StructureModel, predictions: Mapping[str, Any]) -> None:
    """Let the table of structures say what adopted predictions say.

    Parameters
    ----------
    structures : StructureModel
    predictions : mapping
        Structure id to the layer of its prediction.
    """
    offered = {key for key, _ in structures.layers}
    for number, row in enumerate(structures.rows):
        layer = predictions.get(row.structure.id)
        if layer is None:
            continue
        truth = truth_of(layer)
        if truth in offered and truth != row.truth:
            structures.choose_truth(number, truth)
        scores = layer.metadata[KEY].get("scores")
        if row.scores is None and row.truth is not None and isinstance(scores, dict):
            structures.set_scores({row.structure.id: scores})


def _is_opened(layer: Any, source_key: str | None) -> bool:
    if not is_prediction(layer):
        return False
    about = layer.metadata[KEY]
    return FILE in about and about.get("source_id") == source_key

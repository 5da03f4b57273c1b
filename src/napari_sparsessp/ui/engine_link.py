"""The dock's only way to models and engine; nothing heavy is imported before Run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.prediction.events import Event
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.stream_worker import Job
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.store import Model
    from napari_sparsessp.prediction.device import DeviceInfo
    from napari_sparsessp.prediction.plan import Plan


class InstalledEngine:
    """The installed package as the dock sees it.

    The last model stays loaded, so that a second run starts at once.
    """

    def __init__(self) -> None:
        self._loaded: tuple[tuple[str, float], Model] | None = None

    def cards(self) -> "list[ModelCard]":
        """List the cards of all models, the default first; only headers are read."""
        from napari_sparsessp.models.registry import list_models

        return list_models()

    def plan(
        self,
        card: "ModelCard",
        volume: Volume,
        request: PredictionRequest,
        truth: Mapping[str, Volume],
    ) -> "Plan":
        """Cut the work out without reading a pixel.

        Raises
        ------
        InputError
            For everything that can be known before running.
        """
        from napari_sparsessp.prediction.plan import plan_prediction

        return plan_prediction(card, volume, request, truth=dict(truth))

    def stream(self, job: Job) -> Iterator[Event]:
        """Predict; for the worker thread only, it imports torch."""
        from napari_sparsessp.prediction.engine import predict_stream

        yield from predict_stream(
            self._model(job.request),
            job.volume,
            request=job.request,
            truth=job.truth,
            viewport=job.viewport,
            cancel=job.cancel,
            buffer=job.buffer,
        )

    def devices(self) -> "list[DeviceInfo]":
        """List the devices of this machine; for a worker thread, it imports torch."""
        from napari_sparsessp.prediction.device import list_devices

        return list_devices()

    def forget(self) -> None:
        """Let go of the loaded model."""
        self._loaded = None

    def _model(self, request: PredictionRequest) -> "Model":
        from napari_sparsessp.models.registry import find_model
        from napari_sparsessp.models.store import load_model

        path = Path(find_model(request.model, request.topology))
        key = (str(path), path.stat().st_mtime)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = None  # never two models in memory
            self._loaded = (key, load_model(path))
        return self._loaded[1]

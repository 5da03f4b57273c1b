"""The dock's only way to models and engine; nothing heavy is imported before Run."""

import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sparsessp.errors import ModelError
from napari_sparsessp.prediction.engine import Event
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.ui.engine.rehearsal import Rehearsed, rehearse
from napari_sparsessp.ui.engine.stream_worker import Job
from napari_sparsessp.ui.tasks import gc_paused
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.importing import CheckpointInfo
    from napari_sparsessp.models.library import Model
    from napari_sparsessp.prediction.device import DeviceInfo
    from napari_sparsessp.prediction.engine import ArrayWriter
    from napari_sparsessp.prediction.plan import Plan

# What a network counts or averages, and does not learn.
_NOT_LEARNT = (
    *("running_mean", "running_var", "num_batches_tracked"),
    *("average_3", "average_5"),
)


@dataclass(frozen=True)
class ModelPlace:
    """Where a model is.

    Attributes
    ----------
    path : Path
        Its file, or its folder.
    own : bool
        It is the user's own, not one that came with the package.
    parameters : int
        Numbers that it has learnt, nearly; 0 where the file does not tell.
    """

    path: Path
    own: bool
    parameters: int = 0


class InstalledEngine:
    """The installed package as the dock sees it.

    The last model stays loaded, so that a second run starts at once.
    """

    def __init__(self) -> None:
        self._loaded: tuple[tuple[str, float], Model] | None = None
        # a run that begins while its model is loaded ahead waits for it
        self._loading = threading.Lock()

    # models -------------------------------------------------------------------

    def cards(self) -> "list[ModelCard]":
        """List the cards of all models, the default first; only headers are read."""
        from napari_sparsessp.models.library import list_models

        return list_models()

    def place(self, card: "ModelCard") -> ModelPlace | None:
        """Find a model's file; None where it is gone."""
        from napari_sparsessp.models.library import (
            find_model,
            user_folder,
            weights_file,
        )
        from napari_sparsessp.models.weights import read_header

        try:
            path = Path(find_model(card.id))
            shapes = read_header(weights_file(path)).shapes
        except ModelError:
            return None
        learnt = sum(
            math.prod(shape)
            for name, shape in shapes.items()
            if not name.endswith(_NOT_LEARNT)
        )
        return ModelPlace(path, path.parent == user_folder(), learnt)

    def inspect(self, path: Path) -> "CheckpointInfo | ModelCard":
        """Read what a checkpoint is; for a worker thread, it imports torch.

        Returns
        -------
        CheckpointInfo or ModelCard
            The card of a file that is a model of this package already.

        Raises
        ------
        ModelError
            The file is damaged, hostile or of another kind.
        """
        if path.suffix.lower() == ".safetensors":
            from napari_sparsessp.models.library import card_of

            return card_of(path)
        from napari_sparsessp.models.importing import inspect_checkpoint

        return inspect_checkpoint(path)

    def name_for(self, path: Path, found: "CheckpointInfo | ModelCard") -> str:
        """Suggest a name for what `inspect` found."""
        if path.suffix.lower() == ".safetensors":
            return str(getattr(found, "name", path.stem))
        from napari_sparsessp.models.importing.answers import suggested_id

        return suggested_id(found)  # type: ignore[arg-type]

    def bring_in(
        self,
        path: Path,
        found: "CheckpointInfo | ModelCard",
        given: Mapping[str, Any],
        progress: Progress = no_progress,
    ) -> str:
        """Import a checkpoint among the user's models; for a worker thread.

        Parameters
        ----------
        path : Path
        found : CheckpointInfo or ModelCard
            What `inspect` gave.
        given : mapping
            Fields of `napari_sparsessp.models.importing.Answers`; the others follow
            from what was found.
        progress
            Whatever it raises stops the import.

        Returns
        -------
        str
            Id of the new model.

        Raises
        ------
        InputError, ModelError, OutputError
            Nothing was written.
        """
        if path.suffix.lower() == ".safetensors":
            return add_native(path)
        from napari_sparsessp.models.importing import answers_for, import_checkpoint
        from napari_sparsessp.models.manage import source_of

        answers = answers_for(found, **given)  # type: ignore[arg-type]
        source = source_of(path)
        import_checkpoint(path, answers, progress=progress, source=source)
        return answers.id

    # predicting ---------------------------------------------------------------

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
        with gc_paused() as leave_out:
            from napari_sparsessp.prediction.engine import ArrayWriter, predict_stream

            model = self._model(job.request)
            leave_out()
            writer = ArrayWriter() if job.progress is None else job.progress
            if writer.buffer is None:
                writer.buffer = job.buffer
            yield from predict_stream(
                model,
                job.volume,
                request=job.request,
                truth=job.truth,
                plan=job.plan,
                writer=writer,
                viewport=job.viewport,
                cancel=job.cancel,
                part=job.part,
            )

    def new_progress(self) -> "ArrayWriter":
        """Return what keeps the work of a cancelled run, so that it can resume."""
        from napari_sparsessp.prediction.engine import ArrayWriter

        return ArrayWriter()

    def devices(self) -> "list[DeviceInfo]":
        """List the devices of this machine; for a worker thread, it imports torch."""
        from napari_sparsessp.prediction.device import list_devices

        return list_devices()

    def rehearse(self, plan: "Plan", stop: threading.Event) -> Rehearsed:
        """Load what a plan needs, and see how fast it is; for a worker thread."""
        with gc_paused():
            return rehearse(lambda: self._model(plan.request), plan, self.cards(), stop)

    @property
    def loaded(self) -> bool:
        """Whether a model is in memory."""
        return self._loaded is not None

    def forget(self) -> None:
        """Let go of the loaded model, and of what torch keeps of a GPU for it."""
        from napari_sparsessp.prediction.device import release_device_memory

        self._loaded = None
        release_device_memory()

    def _model(self, request: PredictionRequest) -> "Model":
        from napari_sparsessp.models.library import find_model, load_model

        path = Path(find_model(request.model, request.topology))
        key = (str(path), path.stat().st_mtime)
        with self._loading:
            loaded = self._loaded
            if loaded is None or loaded[0] != key:
                self._loaded = loaded = None  # never two models in memory
                self._loaded = loaded = (key, load_model(path))
            return loaded[1]


def add_native(path: Path) -> str:
    """Copy a model of this package into the user's folder.

    Returns
    -------
    str
        Its id.

    Raises
    ------
    ModelError
        The file is no whole model, or a model of this id is there already.
    OutputError
        The folder cannot be written.
    """
    from napari_sparsessp.models.library import card_of
    from napari_sparsessp.models.manage import add_model, source_of

    return card_of(add_model(path, source=source_of(path) or None)).id

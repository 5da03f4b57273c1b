"""The only way of the docks to models and engine; torch is imported in threads only."""

import gc
import math
import threading
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import ModelError
from napari_sparsessp.prediction.engine import (
    ArrayWriter,
    Event,
    Finished,
    PartDone,
    Planned,
    PredictionCancelled,
    Started,
    TileDone,
    predict_stream,
)
from napari_sparsessp.prediction.plan import Plan, plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.tasks import Cancelled, Progress, no_progress
from napari_sparsessp.ui.layers.contrast import ContrastEstimate, Scale, truth_scale
from napari_sparsessp.ui.layers.viewport import Viewport
from napari_sparsessp.ui.tasks import TaskProgress
from napari_sparsessp.ui.widgets.model_picker import is_pass_each
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.models.importing import CheckpointInfo
    from napari_sparsessp.models.library import Model
    from napari_sparsessp.prediction.device import DeviceInfo

# Counted or averaged by a network, not learnt.
_NOT_LEARNT = (
    *("running_mean", "running_var", "num_batches_tracked"),
    *("average_3", "average_5"),
)
# Pixels of the patch that multiply-adds are counted for; only their ratio matters.
_PATCH = (64, 64)


@dataclass(frozen=True)
class ModelPlace:
    """Location of a model: its file or folder, whether it is the user's own.

    `parameters` is about how many numbers it has learnt, 0 where the file is silent.
    """

    path: Path
    own: bool
    parameters: int = 0


@dataclass(frozen=True)
class Speed:
    """Measured speed of a model on this machine.

    Attributes
    ----------
    rate
        Seconds per million voxels of one pass; None where it was not measured.
    costs
        Multiply-adds per voxel of one pass, by model id.
    """

    rate: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class PredictionJob:
    """All that the worker thread of a prediction may know.

    Attributes
    ----------
    plan
        Of the request; it is not made again.
    writer
        Keeps tiles, so that a cancelled run can resume; its buffer is that of the
        layers.
    viewport
        Returns (time, box) of the screen in output voxels, or None.
    part
        (time, box) in output voxels; no more than this is predicted.
    """

    plan: Plan
    writer: Any
    viewport: Callable[[], Viewport | None]
    contrast: ContrastEstimate
    part: Viewport | None = None


@dataclass(frozen=True)
class ContrastEstimated:
    """Better contrast limits (low, high) by channel."""

    limits: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class TruthScaled:
    """Mean and standard deviation of the truths, by structure."""

    scales: dict[str, Scale]


class InstalledEngine:
    """The installed package as the docks see it.

    The last model stays loaded, so that a second run starts at once.
    """

    def __init__(self) -> None:
        self._loaded: tuple[tuple[str, float], Model] | None = None
        # a run that begins while its model is preloaded waits for it
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
        """Read what a checkpoint is, in a worker thread: it imports torch.

        A file that is a model of this package already gives its card.

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
        """Suggest a name for what `inspect` returned."""
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
        """Import a checkpoint among the user's models and return the new id.

        Parameters
        ----------
        found
            Returned by `inspect`.
        given
            Fields of `napari_sparsessp.models.importing.Answers`; the others follow
            from the checkpoint.

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
    ) -> Plan:
        """Plan a prediction without reading a pixel.

        Raises
        ------
        InputError
            For everything that can be known before running.
        """
        return plan_prediction(card, volume, request, truth=dict(truth))

    def new_writer(self, buffer: np.ndarray) -> ArrayWriter:
        """Return a writer into zeros, which a cancelled run resumes with."""
        return ArrayWriter(buffer)

    def stream(self, job: PredictionJob, cancel: threading.Event) -> Iterator[Event]:
        """Predict; for a worker thread: it imports torch."""
        model = self.model(job.plan.request)
        gc.freeze()  # a collection that looks at all of torch would stop the window
        yield from predict_stream(
            model,
            job.plan.volume,
            plan=job.plan,
            writer=job.writer,
            viewport=job.viewport,
            cancel=cancel,
            part=job.part,
        )

    def devices(self) -> "list[DeviceInfo]":
        """List the devices of this machine; for a worker thread: it imports torch."""
        from napari_sparsessp.prediction.device import list_devices

        return list_devices()

    def preload(self, plan: Plan, progress: TaskProgress) -> Speed:
        """Load torch and the model of a plan, and measure how fast it is here."""
        model = self.model(plan.request)
        gc.freeze()
        progress.check()
        rate = _measure_rate(model, plan, progress.cancelled)
        return Speed(rate, _count_costs(self.cards(), progress))

    @property
    def loaded(self) -> bool:
        """Whether a model is in memory."""
        return self._loaded is not None

    def forget(self) -> None:
        """Release the loaded model, and what torch keeps of a GPU for it."""
        from napari_sparsessp.prediction.device import release_device_memory

        self._loaded = None
        release_device_memory()

    def model(self, request: PredictionRequest) -> "Model":
        """Return the model of a request, loaded at most once."""
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
    """Copy a model of this package into the user's folder and return its id.

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


def run_prediction(
    engine: Any, job: PredictionJob, progress: TaskProgress
) -> Finished | PartDone:
    """Predict in a worker thread; publish events and contrast limits.

    Raises
    ------
    Cancelled
        The writer keeps what was done.
    """
    contrast, buffer = job.contrast, job.writer.buffer
    counts = dict.fromkeys(job.plan.channels, 0)
    scaled = not job.plan.truth
    with closing(engine.stream(job, progress.cancelled)) as events:
        for event in events:
            if isinstance(event, TileDone):
                both = [*event.structures, *map(deviation_channel, event.structures)]
                changed = [id_ for id_ in both if id_ in counts]
                block = buffer if event.time is None else buffer[event.time]
                contrast.add(block[(slice(None), *event.box)], changed)
                if not scaled:
                    truth = job.plan.truth.items()
                    scales = {id_: truth_scale(volume) for id_, volume in truth}
                    progress.publish(TruthScaled(scales))
                    scaled = True
                for id_ in changed:
                    counts[id_] += 1
                # after a channel's 1st, 2nd, 4th, 8th… tile
                due = [id_ for id_ in changed if counts[id_] & (counts[id_] - 1) == 0]
                if due:
                    limits = contrast.limits(complete=False, structures=due)
                    progress.publish(ContrastEstimated(limits))
            elif isinstance(event, Finished | PartDone):
                progress.publish(ContrastEstimated(contrast.limits(complete=True)))
                return event
            elif isinstance(event, PredictionCancelled):
                break
            progress.publish(event)
    raise Cancelled


def _measure_rate(model: "Model", plan: Plan, cancel: threading.Event) -> float | None:
    """Return seconds per million voxels of a pass, from two tiles of noise.

    The first one makes torch compile its kernels.
    """
    plain = {"tta": False, "uncertainty": False, "truth": {}, "channel": None}
    request = plan.request.model_copy(
        update={**plain, "time": None, "normalisation": (0.0, 1.0)}
    )
    rate = None
    for _ in range(2):
        began, voxels = clock.perf_counter(), 1
        with closing(
            predict_stream(model, _noise(plan), request=request, cancel=cancel)  # type: ignore[type-var]
        ) as events:
            for event in events:
                if isinstance(event, Planned):
                    tile = event.plan.tiles[0]
                    spans = (tile.z, tile.read_y, tile.read_x)
                    voxels = math.prod(stop - start for start, stop in spans)
                elif isinstance(event, Started):
                    began = clock.perf_counter()
                elif isinstance(event, TileDone):
                    rate = (clock.perf_counter() - began) / voxels * 1e6
                    break
    return rate


def _noise(plan: Plan) -> Volume:
    """Return a stack like the plan's, no wider than a tile reads, without its memory."""
    volume, size = plan.volume, plan.tile_size
    pixels = zip(plan.model_pixel, plan.input_pixel, strict=True)
    sides = [
        min(have, math.ceil((core + 2 * (size.halo + size.fade)) * model / own))
        for have, core, (model, own) in zip(
            volume.shape[-2:], size.core, pixels, strict=True
        )
    ]
    plane = np.random.default_rng(0).standard_normal(sides).astype(np.float32)
    stack = np.broadcast_to(plane, (volume.shape[-3], *sides))
    return Volume(stack, "ZYX", volume.voxel_size, pixel_size=volume.pixel_size)


def _count_costs(
    cards: "Sequence[ModelCard]", progress: TaskProgress
) -> dict[str, float]:
    """Count multiply-adds per voxel, by model id."""
    from napari_sparsessp.networks import NetworkConfig
    from napari_sparsessp.networks.cost import count_cost

    costs = {}
    for card in cards:
        progress.check()
        try:
            config = NetworkConfig.model_validate(card.network)
            cost = count_cost(config, [0] if is_pass_each(card) else None, _PATCH)
        except Exception:  # an imported network that cannot be built
            continue
        voxels = config.planes * config.ratio * math.prod(_PATCH)
        costs[card.id] = cost.multiply_adds / voxels
    return costs

"""The only way of the docks to models and engine; torch is imported in threads only."""

import gc
import math
import threading
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.errors import ModelError
from napari_sparsessp.prediction.engine import (
    ArrayWriter,
    Event,
    Planned,
    Started,
    TileDone,
    predict_stream,
)
from napari_sparsessp.prediction.plan import Plan, plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.tasks import Progress, no_progress
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
    """A model's file or folder, whether it is the user's own, and learnt numbers."""

    path: Path
    own: bool
    parameters: int = 0


@dataclass(frozen=True)
class Speed:
    """Measured speed of a model on this machine."""

    rate: float | None = None  # seconds per million voxels of one pass
    # multiply-adds per voxel of one pass, by model id
    costs: Mapping[str, float] = field(default_factory=dict)


class InstalledEngine:
    """The installed package as the docks see it; the last model stays loaded."""

    def __init__(self) -> None:
        self._loaded: tuple[tuple[str, float], Model] | None = None
        # a run that begins while its model is preloaded waits for it
        self._loading = threading.Lock()

    def cards(self) -> "list[ModelCard]":
        """List the cards of all models, the default first; only headers are read."""
        from napari_sparsessp.models.library import list_models

        return list_models()

    def place(self, card: "ModelCard") -> ModelPlace | None:
        """Return a model's file; None where it is gone."""
        from napari_sparsessp.models import library
        from napari_sparsessp.models.weights import read_header

        try:
            path = Path(library.find_model(card.id))
            headers = [read_header(file) for file in library.weights_files(path)]
        except ModelError:
            return None
        learnt = [
            shape
            for header in headers
            for name, shape in header.shapes.items()
            if not name.endswith(_NOT_LEARNT)
        ]
        own = path.parent == library.user_folder()
        return ModelPlace(path, own, sum(map(math.prod, learnt)))

    def inspect(self, path: Path) -> "CheckpointInfo | ModelCard":
        """Read a checkpoint's properties, or a model's card; for a worker thread."""
        if _is_model(path):
            from napari_sparsessp.models.library import card_of

            return card_of(path)
        from napari_sparsessp.models.importing import inspect_checkpoint

        return inspect_checkpoint(path)

    def name_for(self, path: Path, found: "CheckpointInfo | ModelCard") -> str:
        """Suggest a name for what `inspect` returned."""
        if _is_model(path):
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
        """Import an inspected checkpoint; `given` are fields of its `Answers`."""
        if _is_model(path):
            from napari_sparsessp.models.library import card_of
            from napari_sparsessp.models.manage import add_model, source_of

            return card_of(add_model(path, source=source_of(path) or None)).id
        from napari_sparsessp.models.importing import answers_for, import_checkpoint
        from napari_sparsessp.models.manage import source_of

        answers = answers_for(found, **given)  # type: ignore[arg-type]
        source = source_of(path)
        import_checkpoint(path, answers, progress=progress, source=source)
        return answers.id

    def plan(
        self,
        card: "ModelCard",
        volume: Volume,
        request: PredictionRequest,
        truth: Mapping[str, Volume],
    ) -> Plan:
        """Plan a prediction without reading a pixel."""
        return plan_prediction(card, volume, request, truth=dict(truth))

    def new_writer(self, buffer: np.ndarray) -> ArrayWriter:
        """Return a writer into zeros, which a cancelled run resumes with."""
        return ArrayWriter(buffer)

    def stream(
        self,
        plan: Plan,
        writer: Any,
        viewport: Callable[[], Viewport | None],
        part: Viewport | None,
        cancel: threading.Event,
    ) -> Iterator[Event]:
        """Predict what is planned; for a worker thread: it imports torch."""
        model = self.model(plan.request)
        gc.freeze()  # a collection that looks at all of torch would stop the window
        where: Any = {"viewport": viewport, "part": part, "cancel": cancel}
        yield from predict_stream(model, plan.volume, plan=plan, writer=writer, **where)

    def devices(self) -> "list[DeviceInfo]":
        """List the devices of this machine; for a worker thread: it imports torch."""
        from napari_sparsessp.prediction.device import list_devices

        return list_devices()

    def load_libraries(self) -> None:
        """Load torch in a thread; a prediction that begins meanwhile waits for it."""
        from napari_sparsessp.prediction.device import load_meanwhile

        load_meanwhile()

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
        files = [path, *path.iterdir()] if path.is_dir() else [path]
        key = (str(path), max(file.stat().st_mtime for file in files))
        with self._loading:
            loaded = self._loaded
            if loaded is None or loaded[0] != key:
                self._loaded = loaded = None  # never two models in memory
                self._loaded = loaded = (key, load_model(path))
            return loaded[1]


def _is_model(path: Path) -> bool:
    """Return whether a file is a model of ours, not a checkpoint of others."""
    from napari_sparsessp.models.bundle_file import bundle_folder

    return path.suffix.lower() == ".safetensors" or bundle_folder(path) is not None


def _measure_rate(model: "Model", plan: Plan, cancel: threading.Event) -> float | None:
    """Return seconds per million voxels of a pass; the first of two tiles compiles."""
    plain = {"tta": False, "uncertainty": False, "truth": {}, "channel": None}
    plain |= dict.fromkeys(("reconstruct", "na", "na_condenser", "wavelength", "index"))
    alike = {"time": None, "normalisation": (0.0, 1.0)}
    request = plan.request.model_copy(update={**plain, **alike})
    volume, size = plan.volume, plan.tile_size
    pixels = zip(plan.model_pixel, plan.input_pixel, strict=True)
    sides = [  # no wider than a tile reads, and all planes are one
        min(have, math.ceil((core + 2 * (size.halo + size.fade)) * model_ / own))
        for have, core, (model_, own) in zip(
            volume.shape[-2:], size.core, pixels, strict=True
        )
    ]
    plane = np.random.default_rng(0).standard_normal(sides).astype(np.float32)
    stack = np.broadcast_to(plane, (volume.shape[-3], *sides))
    noise = Volume(stack, "ZYX", volume.voxel_size, pixel_size=volume.pixel_size)
    rate = None
    for _ in range(2):
        events: Any = predict_stream(model, noise, request=request, cancel=cancel)
        with closing(events):
            for event in events:
                if isinstance(event, Planned):
                    tile = event.plan.tiles[0]
                elif isinstance(event, Started):
                    began = clock.perf_counter()
                elif isinstance(event, TileDone):
                    spans = (tile.z, tile.read_y, tile.read_x)
                    voxels = math.prod(stop - start for start, stop in spans)
                    rate = (clock.perf_counter() - began) / voxels * 1e6
                    break
    return rate


def _count_costs(
    cards: "Sequence[ModelCard]", progress: TaskProgress
) -> dict[str, float]:
    from napari_sparsessp.networks import NetworkConfig
    from napari_sparsessp.networks.cost import count_cost

    known: dict[str, float | None] = {}

    def cost_of(card: "ModelCard") -> float | None:
        key = f"{card.network} {is_pass_each(card)}"
        if key not in known:
            progress.check()
            known[key] = None
            with suppress(Exception):  # an imported network that cannot be built
                config = NetworkConfig.model_validate(card.network)
                cost = count_cost(config, [0] if is_pass_each(card) else None, _PATCH)
                voxels = config.planes * config.ratio * math.prod(_PATCH)
                known[key] = cost.multiply_adds / voxels
        return known[key]

    costs = {}
    for card in cards:
        each = [cost_of(one) for one in card.members or (card,)]
        if all(each):
            costs[card.id] = sum(filter(None, each)) / len(each)
    return costs

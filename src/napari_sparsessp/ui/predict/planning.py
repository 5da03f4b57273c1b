"""From what the user chose to a plan, or to the one thing that is in its way.

Pure: reads layers' metadata, never a pixel, and changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import ValidationError

from napari_sparsessp.errors import InputError, SparseSSPError
from napari_sparsessp.prediction.inference import TRANSFORMS as TURNS
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.layers.reading import LayerReading, LeadingAxis, read_layer
from napari_sparsessp.ui.napari_compat import layer_with_key
from napari_sparsessp.ui.preferences import Precision
from napari_sparsessp.ui.tasks import readable_error
from napari_sparsessp.ui.widgets.card_text import is_pass_each
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.report import Report


@dataclass(frozen=True)
class Choice:
    """Everything that the user has chosen in the dock.

    Attributes
    ----------
    layer : str or None
        Key of the input layer.
    leading : {"T", "C"}, optional
        What its nameless first axis is.
    channel : int, optional
    voxel_size : tuple of float, optional
        Typed (z, y, x) in µm.
    ratio : float, optional
    simulate : bool
    structures : tuple of str
    truths : mapping
        Structure id to the key of a layer.
    insisted : frozenset of str
        Structures whose truth the user chose; the others were found by name.
    card : ModelCard, optional
    device, precision : str
    tta, uncertainty : bool
    memory_limit : int, optional
        Bytes.
    """

    layer: str | None
    leading: LeadingAxis | None = None
    channel: int | None = None
    voxel_size: tuple[float, float, float] | None = None
    ratio: float | None = None
    simulate: bool = False
    structures: tuple[str, ...] = ()
    truths: Mapping[str, str] = field(default_factory=dict)
    insisted: frozenset[str] = frozenset()
    card: "ModelCard | None" = None
    device: str = "auto"
    precision: Precision = "auto"
    tta: bool = False
    uncertainty: bool = False
    memory_limit: int | None = None


@dataclass(frozen=True, eq=False)
class Ready:
    """All that a run needs, and nothing that may be missing.

    Attributes
    ----------
    layer : Layer
    reading : LayerReading
    request : PredictionRequest
    truth : dict
    plan : Plan
    """

    layer: Any
    reading: LayerReading
    request: PredictionRequest
    truth: dict[str, Volume]
    plan: "Plan"

    def new_buffer(self) -> np.ndarray:
        """Give zeros for the result; the memory is taken as it is filled.

        Raises
        ------
        InputError
            When there is not enough memory.
        """
        try:
            return np.zeros(self.plan.output_shape, np.float32)
        except MemoryError:
            raise InputError(
                "there is not enough memory for the result; tick fewer structures "
                "or crop the stack"
            ) from None


@dataclass(frozen=True, eq=False)
class Outlook:
    """What would happen on Run.

    Attributes
    ----------
    layer : Layer or None
    reading : LayerReading or None
        What was found in it.
    request : PredictionRequest or None
    truth : dict
        Structure id to `Volume`.
    plan : Plan or None
        None where something is in the way.
    problem : SparseSSPError or None
        What is in the way.
    waiting : str
        What the user still has to do, where nothing is wrong yet.
    notes : tuple of str
        What the dock itself left out or assumed.
    """

    layer: Any | None = None
    reading: LayerReading | None = None
    request: PredictionRequest | None = None
    truth: dict[str, Volume] = field(default_factory=dict)
    plan: "Plan | None" = None
    problem: SparseSSPError | None = None
    waiting: str = ""
    notes: tuple[str, ...] = ()

    def ready(self) -> Ready | None:
        """Give what a run needs; None where something is missing."""
        if self.plan is None or self.reading is None or self.request is None:
            return None
        return Ready(self.layer, self.reading, self.request, self.truth, self.plan)


class PlanningEngine(Protocol):
    """What planning needs of an engine."""

    def plan(
        self,
        card: "ModelCard",
        volume: Volume,
        request: PredictionRequest,
        truth: Mapping[str, Volume],
    ) -> "Plan":
        """Plan a prediction."""
        ...


def look_ahead(viewer: Any, engine: PlanningEngine, choice: Choice) -> Outlook:
    """Plan what Run would do.

    Parameters
    ----------
    viewer : napari.Viewer
    engine : PlanningEngine
    choice : Choice

    Returns
    -------
    Outlook
    """
    layer = layer_with_key(viewer, choice.layer)
    if layer is None:
        return Outlook(waiting="Open a z-stack or choose an image layer.")
    try:
        reading = read_layer(
            layer, leading=choice.leading, voxel_size=choice.voxel_size
        )
    except Exception as error:
        return Outlook(layer=layer, problem=readable_error(error, "reading the layer"))
    seen = Outlook(layer=layer, reading=reading)
    if choice.card is None:
        return _with(seen, waiting="Install a model first.")
    if "C" in reading.volume.axes and choice.channel is None:
        return _with(seen, waiting="Choose the channel with the transmitted light.")
    if not choice.structures:
        return _with(seen, waiting="Tick at least one structure.")
    try:
        truth = _truth_volumes(viewer, choice)
        return _planned(viewer, engine, choice, seen, truth)
    except Exception as error:  # a bug must not leave the dock with an old plan
        return _with(seen, problem=readable_error(error, "the planning"))


def _planned(
    viewer: Any,
    engine: PlanningEngine,
    choice: Choice,
    seen: Outlook,
    truth: dict[str, Volume],
) -> Outlook:
    """Plan; a truth that was only found by its name may be left out for it."""
    assert choice.card is not None
    assert seen.reading is not None
    volume = seen.reading.volume
    notes: tuple[str, ...] = ()
    request = _request(viewer, choice, seen.reading, truth)
    try:
        plan = engine.plan(choice.card, volume, request, truth)
    except InputError:
        kept = {}
        for id_, one in truth.items():
            try:
                engine.plan(choice.card, volume, request, {id_: one})
            except InputError:
                if id_ in choice.insisted:
                    raise
            else:
                kept[id_] = one
        if len(kept) == len(truth):
            raise
        request = _request(viewer, choice, seen.reading, kept)
        plan = engine.plan(choice.card, volume, request, kept)
        lost = [one.name for id_, one in truth.items() if id_ not in kept]
        notes = (_left_out(lost),)
        truth = kept
    return _with(seen, request=request, truth=truth, plan=plan, notes=notes)


def _with(seen: Outlook, **more: Any) -> Outlook:
    return Outlook(layer=seen.layer, reading=seen.reading, **more)


def _left_out(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]!r} does not lie on this stack: it gives no R²"
    return (
        f"{len(names)} layers with the names of structures do not lie on this stack: "
        "they give no R²"
    )


def _request(
    viewer: Any, choice: Choice, reading: LayerReading, truth: Mapping[str, Volume]
) -> PredictionRequest:
    names = {
        id_: str(getattr(layer_with_key(viewer, key), "name", key))
        for id_, key in choice.truths.items()
        if id_ in truth
    }
    try:
        return PredictionRequest(
            input=reading.volume.source,
            channel=choice.channel,
            model=choice.card.id if choice.card is not None else "default",
            structures=choice.structures,
            ratio=choice.ratio,
            simulate_sparse=choice.simulate,
            voxel_size=choice.voxel_size,
            device=choice.device,
            precision=choice.precision,
            truth=names,
            tta=choice.tta,
            uncertainty=choice.uncertainty,
            memory_limit=choice.memory_limit,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where} cannot be used: {first['msg']}") from error


def _truth_volumes(viewer: Any, choice: Choice) -> dict[str, Volume]:
    """Read the truth layers; an error names the layer."""
    volumes = {}
    for id_, key in choice.truths.items():
        layer = layer_with_key(viewer, key)
        if layer is None:
            continue
        volume = read_layer(layer).volume
        if "C" in volume.axes:
            raise InputError(
                f"truth layer {layer.name!r} has {volume.sizes['C']} channels; split "
                "it (right click > Split Stack) and choose one of them"
            )
        volumes[id_] = volume
    return volumes


def turns_of(plan: "Plan") -> int:
    """How often the network sees each tile, because of what was asked for."""
    request = plan.request
    return len(TURNS) if request.tta or request.uncertainty else 1


def work_of(plan: "Plan") -> float:
    """Voxels that go through the network, in millions.

    What a tile reads beyond its core is computed as well.
    """
    read = sum(
        (tile.z[1] - tile.z[0])
        * (tile.read_y[1] - tile.read_y[0])
        * (tile.read_x[1] - tile.read_x[0])
        for tile in plan.tiles
    )
    return read * len(plan.times or (0,)) * plan.passes * turns_of(plan) / 1e6


class Pace:
    """Remembers seconds for each million voxels, by model and device.

    Of a model that has not run yet the multiply-adds tell, held against those of one
    that has.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], float] = {}
        self._costs: dict[str, float] = {}

    def learn(self, plan: "Plan", report: "Report") -> None:
        """Take a finished prediction into account."""
        seconds = report.seconds.total - report.seconds.load
        if seconds > 0:
            self.learn_rate(plan, seconds / work_of(plan))

    def learn_rate(self, plan: "Plan", rate: float) -> None:
        """Take seconds for each million voxels of one pass into account."""
        self._known[plan.card.id, plan.request.device] = rate

    def guess_rate(self, plan: "Plan", rate: float) -> None:
        """Take a rate that is only about right, where none is known yet."""
        if (plan.card.id, plan.request.device) not in self._known:
            self.learn_rate(plan, rate)

    def learn_costs(self, costs: Mapping[str, float]) -> None:
        """Take multiply-adds for each voxel of one pass into account, by model's id."""
        self._costs.update(costs)

    def expected(self, plan: "Plan", card: "ModelCard | None" = None) -> float | None:
        """Foretell the seconds of a prediction; None where nothing is known.

        Parameters
        ----------
        plan : Plan
        card : ModelCard, optional
            Another model that were to do this work; then only about.
        """
        if card is None or card.id == plan.card.id:
            rate, work = self._rate(plan.card, plan.request.device), work_of(plan)
        else:
            rate = self._rate(card, plan.request.device)
            passes = len(plan.structures) if is_pass_each(card) else 1
            work = work_of(plan) / plan.passes * passes
        return None if rate is None else rate * work

    def _rate(self, card: "ModelCard", device: str) -> float | None:
        known = self._known.get((card.id, device))
        own = self._costs.get(card.id)
        if known is not None or own is None:
            return known
        rates = [
            rate * own / self._costs[id_]
            for (id_, where), rate in self._known.items()
            if where == device and self._costs.get(id_)
        ]
        return sum(rates) / len(rates) if rates else None

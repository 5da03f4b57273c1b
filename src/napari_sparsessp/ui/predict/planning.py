"""From the form's state to a plan, or what is in its way; no pixel is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from napari_sparsessp.errors import InputError, SparseSSPError, invalid_field
from napari_sparsessp.prediction.device import planned_device, planned_precision
from napari_sparsessp.prediction.inference import TRANSFORMS
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.ui.layers.reading import LayerReading, LeadingAxis, read_layer
from napari_sparsessp.ui.napari_compat import layer_with_key
from napari_sparsessp.ui.preferences import Precision
from napari_sparsessp.ui.tasks import readable_error
from napari_sparsessp.ui.widgets.card_text import is_pass_each
from napari_sparsessp.ui.widgets.style import duration_text
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.report import Report
    from napari_sparsessp.ui.engine import Speed

# A stack whose z step is at most this much above the model's counts as dense.
_DENSE = 1.25


@dataclass(frozen=True)
class FormState:
    """All choices in the dock."""

    layer: str | None  # its key
    leading: LeadingAxis | None = None
    channel: int | None = None
    voxel_size: tuple[float, float, float] | None = None
    ratio: float | None = None
    simulate: bool = False
    structures: tuple[str, ...] = ()
    truths: Mapping[str, str] = field(default_factory=dict)  # layers by structure
    insisted: frozenset[str] = frozenset()  # truths that were chosen by the user
    card: "ModelCard | None" = None
    device: str = "auto"
    precision: Precision = "auto"
    tta: bool = False
    mask_invalid: bool = False
    uncertainty: bool = False
    memory_limit: int | None = None


@dataclass(frozen=True, eq=False)
class RunRequest:
    """An input layer with the plan of its prediction: all that a run needs."""

    layer: Any
    reading: LayerReading
    plan: "Plan"


@dataclass(frozen=True, eq=False)
class PredictionPreview:
    """Preview of the next run: its plan, or why there is none."""

    layer: Any | None = None
    reading: LayerReading | None = None
    request: PredictionRequest | None = None
    plan: "Plan | None" = None
    problem: SparseSSPError | None = None
    waiting: str = ""  # next step for the user, where nothing is wrong yet
    notes: tuple[str, ...] = ()
    basis: tuple[Any, ...] = ()  # all that the plan depends on
    pixels: tuple[Any, ...] = ()  # whose identity is part of it

    @property
    def truth(self) -> dict[str, Volume]:
        """Ground truth of the plan, by structure."""
        return {} if self.plan is None else self.plan.truth

    def ready(self) -> RunRequest | None:
        """Return what a run needs; None where something is missing."""
        if self.plan is None or self.reading is None:
            return None
        return RunRequest(self.layer, self.reading, self.plan)


class PlanningEngine(Protocol):
    """Engine that plans; `InstalledEngine` is one."""

    def plan(
        self,
        card: "ModelCard",
        volume: Volume,
        request: PredictionRequest,
        truth: Mapping[str, Volume],
    ) -> "Plan":
        """Plan a prediction."""


def preview_prediction(
    viewer: Any,
    engine: PlanningEngine,
    state: FormState,
    before: PredictionPreview | None = None,
) -> PredictionPreview:
    """Plan what Run would do; `before` is returned while its plan still holds."""
    layer = layer_with_key(viewer, state.layer)
    if layer is None:
        return PredictionPreview(waiting="Open a z-stack or choose an image layer.")
    try:
        reading = read_layer(layer, leading=state.leading, voxel_size=state.voxel_size)
    except Exception as error:
        problem = readable_error(error, "reading the layer")
        return PredictionPreview(layer=layer, problem=problem)
    preview = PredictionPreview(layer=layer, reading=reading)
    if state.card is None:
        return replace(preview, waiting="Install a model first.")
    if "C" in reading.volume.axes and state.channel is None:
        waiting = "Choose the channel with the transmitted light."
        return replace(preview, waiting=waiting)
    if not state.structures:
        return replace(preview, waiting="Tick at least one structure.")
    try:
        layers = {id_: layer_with_key(viewer, key) for id_, key in state.truths.items()}
        layers = {id_: one for id_, one in layers.items() if one is not None}
        truth = {id_: _truth_volume(one, reading) for id_, one in layers.items()}
        pixels = tuple(map(pixels_of, (layer, *layers.values())))
        place = reading.letters, reading.guessed, reading.unit_assumed
        volumes = tuple(map(_description, (reading.volume, *truth.values())))
        device = planned_device(state.device)  # another one once torch is loaded
        machine = device, planned_precision(state.precision, device)
        basis = (state, machine, place, *map(id, pixels), tuple(truth), volumes)
        if before is not None and before.plan is not None and before.basis == basis:
            return before
        preview = replace(preview, basis=basis, pixels=pixels)
        return _planned(engine, state, preview, truth)
    except Exception as error:  # a bug must not leave the dock with an old plan
        return replace(preview, problem=readable_error(error, "the planning"))


def _planned(
    engine: PlanningEngine,
    state: FormState,
    preview: PredictionPreview,
    truth: dict[str, Volume],
) -> PredictionPreview:
    """Plan; a truth that was only matched by its name may be left out for it."""
    assert state.card is not None
    assert preview.reading is not None
    card, volume = state.card, preview.reading.volume

    def plan_with(truth: Mapping[str, Volume]) -> "Plan":
        return engine.plan(card, volume, _request(state, volume, truth), truth)

    def fits(id_: str) -> bool:
        try:
            plan_with({id_: truth[id_]})
        except InputError:
            return False
        return True

    notes: tuple[str, ...] = ()
    preview = replace(preview, request=_request(state, volume, truth))
    try:
        plan = plan_with(truth)
    except InputError as error:
        left_out = [i for i in truth if i not in state.insisted and not fits(i)]
        if not left_out:
            return replace(preview, problem=error)
        plan = plan_with({i: one for i, one in truth.items() if i not in left_out})
        notes = (_left_out_note([truth[id_].name for id_ in left_out]),)
    return replace(preview, request=plan.request, plan=plan, notes=notes)


def _left_out_note(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]!r} does not lie on this stack: it gives no R²"
    return (
        f"{len(names)} layers with the names of structures do not lie on this stack: "
        "they give no R²"
    )


def _request(
    state: FormState, volume: Volume, truth: Mapping[str, Volume]
) -> PredictionRequest:
    assert state.card is not None
    try:
        return PredictionRequest(
            input=volume.source,
            channel=state.channel,
            model=state.card.id,
            structures=state.structures,
            ratio=state.ratio,
            simulate_sparse=state.simulate,
            voxel_size=state.voxel_size,
            device=state.device,
            precision=state.precision,
            truth={id_: one.name for id_, one in truth.items()},
            tta=state.tta,
            mask_invalid=state.mask_invalid,
            uncertainty=state.uncertainty,
            memory_limit=state.memory_limit,
        )
    except ValidationError as error:
        where, why = invalid_field(error)
        raise InputError(f"{where} cannot be used: {why}") from error


def _truth_volume(layer: Any, light: LayerReading) -> Volume:
    """Read a truth layer where it lies on the input; an error names it."""
    volume = read_layer(layer, onto=light).volume
    if "C" in volume.axes:
        raise InputError(
            f"truth layer {layer.name!r} has {volume.sizes['C']} channels; split "
            "it (right click > Split Stack) and choose one of them"
        )
    return volume


def _description(volume: Volume) -> tuple[Any, ...]:
    size = volume.voxel_size, volume.pixel_size, volume.origin
    return (volume.axes, volume.shape, *size, volume.name, volume.source)


def pixels_of(layer: Any) -> Any:
    """Return a layer's array; of a multiscale layer its finest level."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def evaluations(plan: "Plan") -> int:
    """How often the network sees each tile: eight times for TTA or uncertainty."""
    request = plan.request
    return len(TRANSFORMS) if request.tta or request.uncertainty else 1


def work_of(plan: "Plan") -> float:
    """Million voxels that go through the network, margins of tiles included."""
    read = sum(
        (tile.z[1] - tile.z[0])
        * (tile.read_y[1] - tile.read_y[0])
        * (tile.read_x[1] - tile.read_x[0])
        for tile in plan.tiles
    )
    return read * len(plan.times or (0,)) * plan.passes * evaluations(plan) / 1e6


class SpeedEstimate:
    """Expected seconds of a prediction, by measured rates or by multiply-adds."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, str], float] = {}
        self._costs: dict[str, float] = {}

    def note_run(self, plan: "Plan", report: "Report") -> None:
        """Take a finished prediction into account."""
        seconds = report.seconds.total - report.seconds.load
        if seconds > 0:
            self._rates[plan.card.id, plan.request.device] = seconds / work_of(plan)

    def note_speed(self, plan: "Plan", speed: "Speed") -> None:
        """Take a measurement of one tile into account, where no run is known."""
        self._costs.update(speed.costs)
        if speed.rate is not None:
            self._rates.setdefault((plan.card.id, plan.request.device), speed.rate)

    def seconds(self, plan: "Plan", card: "ModelCard | None" = None) -> float | None:
        """Estimate seconds, roughly for another `card`; None where nothing is known."""
        rate, work = self._rate(card or plan.card, plan.request.device), work_of(plan)
        if card is not None and card.id != plan.card.id:
            passes = len(plan.structures) if is_pass_each(card) else 1
            work = work / plan.passes * passes
        return None if rate is None else rate * work

    def _rate(self, card: "ModelCard", device: str) -> float | None:
        known, own = self._rates.get((card.id, device)), self._costs.get(card.id)
        if known is not None or own is None:
            return known
        rates = [
            rate * own / self._costs[id_]
            for (id_, where), rate in self._rates.items()
            if where == device and self._costs.get(id_)
        ]
        return sum(rates) / len(rates) if rates else None


def is_dense(state: FormState, preview: PredictionPreview) -> bool | None:
    """Whether the stack's planes are as close as the model's; None if unknown."""
    if preview.reading is None or state.card is None:
        return None
    size = preview.reading.volume.voxel_size
    return None if size is None else size[0] <= _DENSE * state.card.voxel_size[0]


def work_text(plan: "Plan", seconds: float | None = None) -> str:
    """Describe how much a plan predicts, and how long that takes if it is known."""
    depth, height, width = plan.output_shape[-3:]
    times = plan.output_shape[0] if plan.output_axes.startswith("T") else 1
    count = len(plan.structures)
    what = "1 structure" if count == 1 else f"{count} structures"
    passes = f" in {count} passes" if count > 1 and is_pass_each(plan.card) else ""
    at = f" at {times} times" if times > 1 else ""
    slower = evaluations(plan)
    cost = f" · {slower}× slower" if slower > 1 else ""
    if seconds is not None:
        cost = f" · {duration_text(seconds)}"
    return f"Ready: {what}{passes}{at}, {depth} × {height} × {width} voxels{cost}"


def done_text(report: "Report") -> str:
    """Describe how long a prediction took and how good it is."""
    scores = [one.get("r2") for one in report.structures.values()]
    known = [value for value in scores if value is not None]
    text = f"Done in {duration_text(report.seconds.total)}"
    if known:
        text += f" · mean R² {sum(known) / len(known):.2f} of {len(known)} with truth"
    return text.replace("-", "\u2212")

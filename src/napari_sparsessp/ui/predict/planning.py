"""From the form's state to a plan, or what is in its way; no pixel is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import ValidationError

from napari_sparsessp.errors import InputError, SparseSSPError, invalid_field
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.device import planned_device, planned_precision
from napari_sparsessp.prediction.inference import TRANSFORMS
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.ui.layers.contrast import ContrastEstimate
from napari_sparsessp.ui.layers.metadata import KEY, phase_key, run_of
from napari_sparsessp.ui.layers.reading import LayerReading, LeadingAxis, read_layer
from napari_sparsessp.ui.napari_compat import layer_with_key
from napari_sparsessp.ui.preferences import Precision
from napari_sparsessp.ui.tasks import readable_error
from napari_sparsessp.ui.widgets.card_text import is_pass_each, pass_count
from napari_sparsessp.ui.widgets.optics import OpticsOptions
from napari_sparsessp.ui.widgets.style import duration_text
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.models.card import ModelCard
    from napari_sparsessp.prediction.plan import Plan
    from napari_sparsessp.prediction.report import Report
    from napari_sparsessp.ui.engine import Speed

# A stack whose z step is at most this much above the model's counts as dense.
_DENSE = 1.25
_SAME_RATIO = 0.02


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
    overlap: float | None = None  # of windows in z; as published where left out
    mask_invalid: bool = False
    uncertainty: bool = False
    memory_limit: int | None = None
    optics: OpticsOptions | None = None  # of the phase that is made first


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
    if state.optics is not None and (missing := state.optics.missing()):
        return replace(preview, waiting=missing)
    if not state.structures:
        return replace(preview, waiting="Tick at least one structure.")
    try:
        found = {id_: layer_with_key(viewer, key) for id_, key in state.truths.items()}
        layers = {id_: one for id_, one in found.items() if one is not None}
        truth: dict[str, Volume] = {}
        faults: dict[str, str] = {}
        for id_, one in layers.items():
            try:
                truth[id_] = _truth_volume(one, reading)
            except InputError as error:
                if id_ in state.insisted:
                    raise
                faults[str(one.name)] = str(error)
        pixels = tuple(map(pixels_of, (layer, *layers.values())))
        place = reading.letters, reading.guessed, reading.unit_assumed
        volumes = tuple(
            (one.axes, one.shape, one.voxel_size, one.pixel_size, one.origin)
            + (one.name, one.source)
            for one in (reading.volume, *truth.values())
        )
        device = planned_device(state.device)  # another one once torch is loaded
        machine = device, planned_precision(state.precision, device)
        basis = (state, machine, place, *map(id, pixels), (*truth, *faults), volumes)
        if before is not None and before.plan is not None and before.basis == basis:
            return before
        preview = replace(preview, basis=basis, pixels=pixels)
        return _planned(engine, state, preview, truth, faults)
    except Exception as error:  # a bug must not leave the dock with an old plan
        return replace(preview, problem=readable_error(error, "the planning"))


def fast_windows(card: "ModelCard | None") -> tuple[int, float] | None:
    """Return the step in planes, and the overlap, of a model's fast windows, if any."""
    try:
        network = NetworkConfig.model_validate(card.network if card else {})
    except ValidationError:  # of another version; the plan says so
        return None
    step = network.fast_step
    return None if step is None else (step, 1 - step / network.depth)


def is_made_as(layer: Any, state: FormState, ratio: float | None) -> bool:
    """Return whether one of our layers is what these choices give at this ratio."""
    run, model = run_of(layer), "" if state.card is None else state.card.id
    if run.source != state.layer or run.model not in ("", model):
        return False
    if ratio and run.ratio and abs(run.ratio / ratio - 1) > _SAME_RATIO:
        return False
    # a file of the command line names its channel in words of its own
    return "request" not in layer.metadata[KEY] or run == run._replace(
        channel=state.channel,
        simulated=state.simulate,
        voxel_size=state.voxel_size,
        tta=state.tta,
        overlap=state.overlap,
        phase=phase_key(phase_fields(state.optics)),
    )


def _planned(
    engine: PlanningEngine,
    state: FormState,
    preview: PredictionPreview,
    truth: dict[str, Volume],
    faults: dict[str, str],
) -> PredictionPreview:
    """Plan without the truths that cannot be used; `faults` are known, by name."""
    assert state.card is not None
    assert preview.reading is not None
    card, volume = state.card, preview.reading.volume

    def plan_with(truth: Mapping[str, Volume]) -> "Plan":
        return engine.plan(card, volume, _request(state, volume, truth), truth)

    def fault(id_: str) -> str:
        try:
            plan_with({id_: truth[id_]})
        except InputError as error:
            return str(error)
        return ""

    preview = replace(preview, request=_request(state, volume, truth))
    try:
        plan = plan_with(truth)
    except InputError as error:
        whys = {i: fault(i) for i in truth if i not in state.insisted}
        useless = {i: why for i, why in whys.items() if why}
        if not useless:
            return replace(preview, problem=error)
        faults |= {truth[i].name: why for i, why in useless.items()}
        plan = plan_with({i: one for i, one in truth.items() if i not in useless})
    notes: tuple[str, ...] = ()
    if faults:
        first, why = next(iter(faults.items()))
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        notes = (f"{first!r}{more} gives no R²: {why}",)
    return replace(preview, request=plan.request, plan=plan, notes=notes)


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
            overlap=state.overlap,
            mask_invalid=state.mask_invalid,
            uncertainty=state.uncertainty,
            memory_limit=state.memory_limit,
            **phase_fields(state.optics),
        )
    except ValidationError as error:
        where, why = invalid_field(error)
        raise InputError(f"{where} cannot be used: {why}") from error


def phase_fields(optics: OpticsOptions | None) -> dict[str, Any]:
    """Return the fields of a request that make phase first; {} for none."""
    return {} if optics is None else {"reconstruct": "phase", **vars(optics)}


def _truth_volume(layer: Any, light: LayerReading) -> Volume:
    """Read a truth layer where it lies on the input; an error names it."""
    volume = read_layer(layer, onto=light).volume
    if "C" in volume.axes:
        raise InputError(
            f"truth layer {layer.name!r} has {volume.sizes['C']} channels; split "
            "it (right click > Split Stack) and choose one of them"
        )
    return volume


def pixels_of(layer: Any) -> Any:
    """Return a layer's array; of a multiscale layer its finest level."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


# The first that differs is shown: what comes first weighs more.
_CHANGES = {
    "layer": "another stack is chosen",
    "leading": "the stack's first axis means something else now",
    "channel": "another channel is chosen",
    "voxel_size": "the voxel size has changed",
    "optics": "the step to phase has changed",
    **dict.fromkeys(("ratio", "simulate"), "the sampling has changed"),
    "structures": "other structures are ticked",
    "truths": "the truth layers have changed",
    "device": "another device is chosen",
    "precision": "the precision has changed",
    **dict.fromkeys(
        ("tta", "overlap", "uncertainty", "memory_limit", "mask_invalid"),
        "an option has changed",
    ),
}


@dataclass(eq=False)
class ResumableRun:
    """A prediction that survives being cancelled."""

    state: FormState
    request: RunRequest
    buffer: np.ndarray
    writer: Any
    contrast: ContrastEstimate
    pixels: Any  # of the input at Run: another array is another stack
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    done: int = 0
    total: int = 0
    starts: int = 0

    @classmethod
    def of(cls, state: FormState, request: RunRequest, engine: Any) -> "ResumableRun":
        """Allocate the output buffer of a new run; InputError where memory is short."""
        plan = request.plan
        try:
            buffer = np.zeros(plan.output_shape, np.float32)
        except MemoryError:
            raise InputError(
                "there is not enough memory for the result; tick fewer structures "
                "or crop the stack"
            ) from None
        contrast = ContrastEstimate(
            plan.channels, [deviation_channel(one) for one in plan.structures]
        )
        writer = engine.new_writer(buffer)
        return cls(state, request, buffer, writer, contrast, pixels_of(request.layer))

    def change(self, state: FormState, preview: PredictionPreview) -> str:
        """Return why this cannot be resumed now; "" where it can."""
        for name, why in _CHANGES.items():
            if getattr(state, name) != getattr(self.state, name):
                return why
        if state.card is None or state.card.id != self.request.plan.card.id:
            return "another model is chosen"
        if preview.layer is None or preview.reading is None:
            return "the stack cannot be read any more"
        if pixels_of(preview.layer) is not self.pixels:
            return "the stack holds another image"
        was, now = self.request.reading.volume, preview.reading.volume
        if (was.voxel_size, was.origin) != (now.voxel_size, now.origin):
            return "the stack was moved or scaled"
        return ""


def evaluations(plan: "Plan") -> int:
    """How often the network sees each tile: eight times for TTA or uncertainty."""
    request = plan.request
    return len(TRANSFORMS) if request.tta or request.uncertainty else 1


def work_of(plan: "Plan") -> float:
    """Million voxels that go through the network, margins of tiles included."""
    return plan.voxels * evaluations(plan) / 1e6


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
            now, then = (pass_count(one, plan.structures) for one in (plan.card, card))
            work = work / now * then
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
    networks = len(plan.members)
    passes = f" in {count} passes" if count > 1 and is_pass_each(plan.card) else ""
    if networks:
        passes = f" by {networks} networks" if networks > 1 else ""
    at = f" at {times} times" if times > 1 else ""
    slower = evaluations(plan)
    cost = f" · {slower}× slower" if slower > 1 else ""
    if seconds is not None:
        cost = f" · {duration_text(seconds)}"
    what = f"{structures_text(count)}{passes}{at}"
    return f"Ready: {what}, {depth} × {height} × {width} voxels{cost}"


def structures_text(count: int) -> str:
    """Write a number of structures."""
    return "1 structure" if count == 1 else f"{count or 'no'} structures"


def done_text(report: "Report") -> str:
    """Describe how long a prediction took and how good it is."""
    scores = [one.get("r2") for one in report.structures.values()]
    known = [value for value in scores if value is not None]
    text = f"Done in {duration_text(report.seconds.total)}"
    if known:
        text += f" · mean R² {sum(known) / len(known):.2f} of {len(known)} with truth"
    return text.replace("-", "\u2212")

"""The metadata of our layers, JSON values in ``layer.metadata["sparsessp"]``."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import QObject, Signal

from napari_sparsessp.structures import (
    CATALOGUE,
    Structure,
    deviation_channel,
    match_channel,
    structure_or_custom,
)
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.preferences import preferences

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan


KEY = "sparsessp"
"""The one key of ``layer.metadata`` that belongs to us."""
SCHEMA = 1
PREDICTION, UNCERTAINTY = "prediction", "uncertainty"
ERROR, COMPOSED = "error", "composed"
"""Made by the Compare dock of a prediction and its truth."""
_ROLES = (PREDICTION, UNCERTAINTY, ERROR, COMPOSED)
# black where the model is sure; also colour-blind eyes see its steps
UNCERTAINTY_COLOURS = "magma"
# meaningless once a prediction is compared with another truth
_OF_A_TRUTH = ("truth", "truth_id", "scores")
DEFAULT_VISIBLE = ("dna", "cell_membrane", "mitochondria")
"""Shown at first where many are predicted: twelve colours at once say nothing."""
DOUBTFUL = " · unreliable"
"""Ends the name of a layer whose input is unlike what the model was made for."""


def _about(layer: Any) -> dict[str, Any]:
    """Return what a layer says of itself; {} for a foreign layer."""
    about = layer.metadata.get(KEY)
    return about if isinstance(about, dict) else {}


def role_of(layer: Any) -> str:
    """Return the role of one of our layers, such as `PREDICTION`; "" for others."""
    role = _about(layer).get("role")
    return role if role in _ROLES else ""


def is_prediction(layer: Any) -> bool:
    """Return whether a layer is a predicted structure."""
    return role_of(layer) == PREDICTION


def channel_of(layer: Any) -> str:
    """Return the name of the output's channel that one of our layers shows."""
    about = layer.metadata[KEY]
    return str(about.get("channel") or about["structure"])


def model_of(layer: Any) -> str:
    """Return the id of the model that made one of our layers, or ""."""
    about = layer.metadata[KEY]
    for part in (about.get("request"), (about.get("provenance") or {}).get("model")):
        if isinstance(part, dict):
            return str(part.get("model") or part.get("id") or "")
    return ""


class Run(NamedTuple):
    """All that tells the layers of one run from those of another."""

    source: str  # key of its layer, or its name where the layer is unknown
    model: str
    ratio: float | None
    channel: str | int | None
    simulated: bool
    voxel_size: tuple[float, ...] | None
    tta: bool
    overlap: float | None
    phase: tuple[Any, ...] = ()  # Optics of the phase that was made first

    def text(self) -> str:
        """Name ratio and model, and what else may differ."""
        channel = "" if self.channel is None else f"channel {self.channel}"
        ratio = "" if self.ratio is None else f"r {self.ratio:g}"
        overlap = "" if self.overlap is None else f"overlap {self.overlap:.2g}"
        averaged = "averaged" if self.tta else ""
        made = "from phase" if self.phase else ""
        parts = ratio, self.model, channel, averaged, overlap, made
        return " · ".join(filter(None, parts))


def run_of(layer: Any) -> Run:
    """Return the run that made one of our layers, as far as it is told."""
    about = layer.metadata[KEY]
    provenance = about.get("provenance") or {}
    request = about.get("request") or provenance.get("request")
    request = request if isinstance(request, dict) else {}
    ratio = about.get("ratio") or provenance.get("ratio")
    size = request.get("voxel_size")
    return Run(
        str(about.get("source_id") or about.get("source") or ""),
        model_of(layer),
        round(float(ratio), 3) if isinstance(ratio, int | float) else None,
        request.get("channel"),
        bool(request.get("simulate_sparse")),
        tuple(size) if isinstance(size, list | tuple) else None,
        bool(request.get("tta")),
        request.get("overlap"),
        phase_key(request),
    )


def phase_key(request: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells phase that a request makes from other phase; () for none."""
    if request.get("reconstruct") != "phase":
        return ()
    names = ("na", "na_condenser", "wavelength", "index")
    more = bool(request.get("planes_downwards")), request.get("regularisation", 1e-2)
    return (*(request.get(name) for name in names), *more)


def structure_of(channel: str, channels: Sequence[str]) -> str:
    """Return the structure of a channel, or of its uncertainty, among all channels."""
    return next((one for one in channels if deviation_channel(one) == channel), channel)


TRUTH_SUFFIX = " · truth"


def channel_part(name: str) -> str:
    """Return the channel in the name of a layer, such as ``file · DNA · truth``."""
    return name.removesuffix(TRUTH_SUFFIX).rpartition(" · ")[2]


def structure_named(name: str) -> Structure | None:
    """Return the structure that a name means, such as ``"Hoechst 33342"``."""
    known, name = CATALOGUE.values(), channel_part(name)
    return next((one for one in known if match_channel(one, [name]) == 0), None)


def first_look(structure: str, role: str) -> dict[str, str]:
    """Return name, colours and blending of a layer, before the user changes them."""
    spread = role == UNCERTAINTY
    label = structure_or_custom(structure).label + (" ± std" if spread else "")
    return {
        "name": f"{label} · predicted",
        "colormap": UNCERTAINTY_COLOURS if spread else preferences().colour(structure),
        "blending": "additive",
        # in 3D the sum of plain maxima of several structures burns out
        "rendering": "attenuated_mip",
    }


def truth_of(layer: Any) -> str | None:
    """Return the key of the layer that a prediction was compared with, or None."""
    about = layer.metadata[KEY]
    return str(about["truth_id"]) if about.get("truth_id") else None


def about_layer(
    plan: "Plan", channel: str, source: Any, truth: Any | None = None
) -> dict[str, Any]:
    """Return the metadata of the layer of a channel."""
    structure = structure_of(channel, plan.channels)
    role = PREDICTION if channel == structure else UNCERTAINTY
    return {
        "schema_version": SCHEMA,
        "role": role,
        "structure": structure,
        "channel": channel,
        "source": str(source.name),
        "source_id": layer_key(source),
        **(_truth_link(truth) if role == PREDICTION else {}),
        "request": plan.request.model_dump(mode="json"),
        "measured_planes": list(plan.view.measured_planes),
        "ratio": plan.view.ratio,
        "units": plan.card.units,
        "state": "running",
    }


def add_to(layer: Any, **more: Any) -> None:
    """Add to a layer's metadata, as a new dict, so that napari notices."""
    about = {**layer.metadata.get(KEY, {}), **more}
    layer.metadata = {**layer.metadata, KEY: about}


def set_truth(layer: Any, truth: Any | None) -> None:
    """Set the layer that a prediction is compared with; scores against others go."""
    link = _truth_link(truth)
    about = layer.metadata[KEY]
    if about.get("truth_id") != link.get("truth_id"):
        kept = {k: v for k, v in about.items() if k not in _OF_A_TRUTH}
        layer.metadata = {**layer.metadata, KEY: {**kept, **link}}


def mark_doubts(layer: Any, doubts: Sequence[str]) -> None:
    """Mark a prediction as unreliable, in metadata and name, or undo it."""
    add_to(layer, unfamiliar=list(doubts))
    name = str(layer.name).removesuffix(DOUBTFUL) + (DOUBTFUL if doubts else "")
    if layer.name != name:
        layer.name = name


def _truth_link(truth: Any | None) -> dict[str, str]:
    if truth is None:
        return {}
    return {"truth": str(truth.name), "truth_id": layer_key(truth)}


FILE = "file"
"""Of ``layer.metadata["sparsessp"]``: the `FilePlace` of a layer."""


@dataclass(frozen=True)
class FilePlace:
    """The place of a layer's voxels on disk."""

    path: str
    scene: int | None = None  # where the file has several images
    channel: int | None = None  # None: the layer shows all

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of a layer at this place."""
        return {KEY: {FILE: asdict(self)}}


def file_of(layer: Any) -> FilePlace | None:
    """Return the file that a layer came from; None where it came from none."""
    known = _about(layer).get(FILE)
    if isinstance(known, dict):
        path, scene, channel = (known.get(n) for n in ("path", "scene", "channel"))
        return FilePlace(str(path), scene, channel)
    path = getattr(getattr(layer, "source", None), "path", None)
    return FilePlace(str(path)) if path else None


def is_same_file(one: str, other: str) -> bool:
    """Return whether two paths lead to one file, which need not be there any more."""
    try:
        return Path(one).expanduser().resolve() == Path(other).expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return one == other


def link_orphans(viewer: Any) -> None:
    """Tie predictions to open layers from the files that they name."""
    others = [(one, file_of(one)) for one in viewer.layers if not role_of(one)]
    known = [(one, place.path) for one, place in others if place is not None]
    for layer in viewer.layers:
        if role_of(layer) and not layer.metadata[KEY].get("source_id"):
            _link(layer, known)


def made_from(viewer: Any, source_key: str | None) -> list[Any]:
    """Return the predictions and uncertainties from a source, by whatever model."""
    return [
        layer
        for layer in viewer.layers
        if role_of(layer) in (PREDICTION, UNCERTAINTY)
        and layer.metadata[KEY].get("source_id") == source_key
    ]


def _link(layer: Any, known: Sequence[tuple[Any, str]]) -> None:
    """Write on a prediction which of the open layers its file means."""
    provenance = layer.metadata[KEY].get("provenance")
    request = provenance.get("request") if isinstance(provenance, dict) else None
    if not isinstance(request, dict):
        return
    source = _meant(str(request.get("input", "")), request.get("channel"), known)
    if source is None:
        return
    link = {"source": str(source.name), "source_id": layer_key(source)}
    truths = request.get("truth")
    structure = layer.metadata[KEY]["structure"]
    if is_prediction(layer) and isinstance(truths, dict) and structure in truths:
        path, channel = str(truths[structure]), None
        if not any(is_same_file(path, place) for _, place in known):
            path, _, channel = path.rpartition(":")
        truth = _meant(path, channel or structure, known)
        if truth is not None and truth is not source:
            link |= _truth_link(truth)
    add_to(layer, **link)


def _meant(path: str, channel: Any, known: Sequence[tuple[Any, str]]) -> Any | None:
    """Return the layer of a file's channel, given by name or number."""
    same = [one for one, place in known if path and is_same_file(path, place)]
    if len(same) < 2 or channel is None:
        return same[0] if len(same) == 1 else None
    for one in same:
        place = file_of(one)
        number = None if place is None else place.channel
        if str(channel) in (str(number), str(one.name)):
            return one
    names = [str(one.name) for one in same]
    ending = [i for i, name in enumerate(names) if name.endswith(f" · {channel}")]
    index = ending[0] if len(ending) == 1 else match_channel(str(channel), names)
    return None if index is None else same[index]


_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units")
_EVENTS = ("data", *_PLACE, "metadata")


class LayerWatch(QObject):
    """Watch the voxels of layers, their place, and the run that they came from."""

    changed = Signal(str)  # key of the layer
    linked = Signal()  # a prediction was given another truth

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers: dict[str, Any] = {}
        self._runs: dict[str, tuple[Any, Any]] = {}  # the run and the truth of each

    def follow(self, layers: Sequence[Any]) -> None:
        """Watch these layers and no others."""
        wanted = {layer_key(layer): layer for layer in layers}
        for key in [key for key in self._layers if key not in wanted]:
            self._connect(self._layers.pop(key), on=False)
        for key, layer in wanted.items():
            if key not in self._layers:
                self._layers[key] = layer
                self._runs[key] = _run_and_truth(layer)
                self._connect(layer, on=True)

    def _connect(self, layer: Any, *, on: bool) -> None:
        for name in _EVENTS:
            emitter = getattr(layer.events, name)
            slot = self._on_metadata if name == "metadata" else self._on_changed
            (emitter.connect if on else emitter.disconnect)(slot)

    def _on_changed(self, event: Any) -> None:
        key = layer_key(event.source)
        if key in self._layers:
            self.changed.emit(key)

    def _on_metadata(self, event: Any) -> None:
        """Emit `changed` for another run only, `linked` for another truth."""
        key = layer_key(event.source)
        if key not in self._layers:
            return
        before, now = self._runs[key], _run_and_truth(event.source)
        self._runs[key] = now
        if now[0] != before[0]:
            self.changed.emit(key)
        elif now[1] != before[1]:
            self.linked.emit()


def _run_and_truth(layer: Any) -> tuple[Any, Any]:
    about = _about(layer)
    created = (about.get("provenance") or {}).get("created")
    return (about.get("state"), created), about.get("truth_id")

"""What is written on our layers: whose they are, how they came about, what to mistrust.

It stands in ``layer.metadata["sparsessp"]``, in values that JSON can hold.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari_sparsessp.structures import deviation_channel, structure_or_custom
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

# Black where the model is sure of itself; told apart also by colour-blind eyes.
UNCERTAINTY_COLOURS = "magma"

# What says nothing any more once a prediction is compared with another truth.
_OF_A_TRUTH = ("truth", "truth_id", "scores")

DEFAULT_VISIBLE = ("dna", "cell_membrane", "mitochondria")
"""Shown at first where many are predicted: twelve colours at once tell nothing."""

DOUBTFUL = " · doubtful"
"""Ends the name of a layer whose input is unlike what the model was made for."""


def role_of(layer: Any) -> str:
    """`PREDICTION`, `UNCERTAINTY`, `ERROR`, `COMPOSED`; "" for what is none of ours."""
    about = layer.metadata.get(KEY)
    role = about.get("role") if isinstance(about, dict) else None
    return role if role in _ROLES else ""


def is_prediction(layer: Any) -> bool:
    """Tell whether a layer is a predicted structure."""
    return role_of(layer) == PREDICTION


def channel_of(layer: Any) -> str:
    """Name of the output's channel that one of our layers shows."""
    about = layer.metadata[KEY]
    return str(about.get("channel") or about["structure"])


def model_of(layer: Any) -> str:
    """Id of the model that made one of our layers; "" where it does not say."""
    about = layer.metadata[KEY]
    for part in (about.get("request"), (about.get("provenance") or {}).get("model")):
        if isinstance(part, dict):
            return str(part.get("model") or part.get("id") or "")
    return ""


def structure_of(channel: str, channels: Sequence[str]) -> str:
    """Id of the structure that a channel is, or tells the uncertainty of.

    Parameters
    ----------
    channel : str
    channels : sequence of str
        All of the output.
    """
    return next((one for one in channels if deviation_channel(one) == channel), channel)


def first_look(structure: str, role: str) -> dict[str, str]:
    """Name, colours and blending of one of our layers, before the user changes them."""
    known = structure_or_custom(structure)
    spread = role == UNCERTAINTY
    return {
        "name": f"{known.label} ± std · predicted"
        if spread
        else f"{known.label} · predicted",
        "colormap": UNCERTAINTY_COLOURS if spread else preferences().colour(structure),
        "blending": "additive",
    }


def truth_of(layer: Any) -> str | None:
    """Key of the layer that a prediction was compared with; None where none was."""
    about = layer.metadata[KEY]
    return str(about["truth_id"]) if about.get("truth_id") else None


def about_layer(
    plan: "Plan", channel: str, source: Any, truth: Any | None = None
) -> dict[str, Any]:
    """Say what the layer of a channel is.

    Parameters
    ----------
    plan : Plan
    channel : str
        One of ``plan.channels``.
    source : Layer
        The input.
    truth : Layer, optional
        What the structure really looks like; a prediction is compared with it.
    """
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
        "state": "running",
    }


def add_to(layer: Any, **more: Any) -> None:
    """Write more on a layer; the metadata is set anew, so that napari notices."""
    about = {**layer.metadata.get(KEY, {}), **more}
    layer.metadata = {**layer.metadata, KEY: about}


def set_truth(layer: Any, truth: Any | None) -> None:
    """Say which layer a prediction is compared with from now on.

    Scores against another truth say nothing about this one and are taken away.

    Parameters
    ----------
    layer : Layer
        A prediction.
    truth : Layer or None
        None: nothing is known of what is really there.
    """
    link = _truth_link(truth)
    about = layer.metadata[KEY]
    if about.get("truth_id") != link.get("truth_id"):
        kept = {k: v for k, v in about.items() if k not in _OF_A_TRUTH}
        layer.metadata = {**layer.metadata, KEY: {**kept, **link}}


def mark_doubts(layer: Any, doubts: Sequence[str]) -> None:
    """Write what makes a prediction doubtful on its layer, its name included.

    Parameters
    ----------
    layer : Layer
    doubts : sequence of str
        Sentences; none takes an older mark away.
    """
    add_to(layer, unfamiliar=list(doubts))
    name = str(layer.name).removesuffix(DOUBTFUL) + (DOUBTFUL if doubts else "")
    if layer.name != name:
        layer.name = name


def _truth_link(truth: Any | None) -> dict[str, str]:
    if truth is None:
        return {}
    return {"truth": str(truth.name), "truth_id": layer_key(truth)}

"""From a finished training to a model file with its card."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.card import ModelCard, network_fields
from napari_sparsessp.models.origin import of_training
from napari_sparsessp.models.serialisation import digest_of_tensors
from napari_sparsessp.models.store import Model, save_model
from napari_sparsessp.models.verification import make_check
from napari_sparsessp.networks import NetworkConfig, build_network
from napari_sparsessp.training.config import FineTune, TrainConfig
from napari_sparsessp.training.setup import Setup
from napari_sparsessp.training.starting import starting_network
from napari_sparsessp.training.state import RunFolder

_SCALING_WORDS = {
    "robust": "z-score of the measured planes, extremes left out",
    "zscore": "z-score of the measured planes",
    "none": "none",
}


def write_model(
    setup: Setup,
    network: NetworkConfig,
    structures: tuple[str, ...],
    patch: tuple[int, int, int],
    trained_on: Sequence[str],
    labelled: set[int],
    validated_on: str,
    z_projection: str = "none",
    warning: str = "",
    measure: Callable[[Model], dict[str, Any]] | None = None,
) -> Path:
    """Write the best state of a training, or its last, as a native model.

    Parameters
    ----------
    setup : Setup
    network : NetworkConfig
    structures : tuple of str
    patch : tuple of int
        (D, H, W) in voxels.
    trained_on : sequence of str
        Sentences on the data.
    labelled : set of int
        Outputs that had any label to learn from.
    validated_on : str
        What the scores are of.
    z_projection : {"none", "mean", "max"}
        Of the card: how predictions become what all labels were, single planes.
    warning : str
        A limit that follows from the data; "" for none.
    measure : callable, optional
        Gives fields of the card that need the finished network.

    Returns
    -------
    Path
        ``ID.safetensors`` in the output folder.

    Raises
    ------
    OutputError
        It cannot be written.
    ModelError
        The weights are not finite.
    """
    config = setup.config
    files = RunFolder(config.out)
    best = files.best()
    trained: Any = build_network(network)
    trained.load_state_dict(files.averaged() if best is None else best["network"])
    trained.requires_grad_(False)
    if isinstance(config.network, FineTune) and config.network.blend < 1:
        start = starting_network(setup, network, structures).state_dict()
        share = config.network.blend
        for name, tensor in trained.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.lerp(start[name], tensor, share))
        trained_on = [*trained_on, f"The weights are {share:.0%} of the way to them."]
    if network.standardised:
        trained.bake()
    dtype = getattr(torch, config.model.weights)
    # The card's check is of the weights as they will be in the file.
    trained = trained.to(dtype).float().eval()
    card = _card(setup, trained, structures, patch)
    if warning:
        card = card.model_copy(update={"limits": (*card.limits, warning)})
    forgotten = [one for k, one in enumerate(structures) if k not in labelled]
    if forgotten:
        limit = (
            f"Had no label of {', '.join(forgotten)} when it was fine-tuned: these may "
            "be worse than in the model that it began with."
        )
        card = card.model_copy(update={"limits": (*card.limits, limit)})
    card = card.model_copy(
        update={
            "trained_on": config.model.trained_on
            or " ".join([*trained_on, _recipe_words(config, files, patch)]),
            "scores": _given_scores(config)
            | ({} if best is None else _scores(files, best, validated_on)),
            "z_projection": z_projection,
        }
    )
    tensors = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in trained.state_dict().items()
    }
    path = config.out / f"{card.id}.safetensors"
    if measure is not None:
        card = card.model_copy(update=measure(Model(card, trained, "", path)))
    check = make_check(trained, digest_of_tensors(tensors))
    card = card.model_copy(update={"check": check})
    return save_model(path, trained, card, dtype=dtype)


def _card(
    setup: Setup,
    network: nn.Module,
    structures: tuple[str, ...],
    patch: tuple[int, int, int],
) -> ModelCard:
    model, config = setup.config.model, network.config
    assert isinstance(config, NetworkConfig)
    limits, modality = model.limits, model.modality
    if setup.source is not None:
        if "modality" not in model.model_fields_set:
            modality = setup.source.modality
        began = f"Of {setup.source.id}, with which it began: "
        limits = (*limits, *(began + one for one in setup.source.limits))
    return ModelCard(
        id=model.id,
        version=model.version,
        name=model.name or model.id,
        licence=model.licence,
        citation=model.citation,
        structures=structures,
        **network_fields(config),
        voxel_size=setup.voxel_size,
        patch=patch,
        ratios=setup.ratios(config),
        modality=modality,
        normalisation=_SCALING_WORDS[setup.scaling],
        scaling=setup.scaling,  # type: ignore[arg-type]
        trained_on="",
        limits=limits,
        source=of_training("" if setup.source is None else setup.source.id),
    )


def _recipe_words(
    config: TrainConfig, files: RunFolder, patch: tuple[int, int, int]
) -> str:
    steps = files.progress().step
    extent = "×".join(map(str, patch))
    return (
        f"Recipe {config.recipe.name}, loss {config.loss}, {steps} steps of "
        f"{files.progress().batch} patches of {extent} voxels, seed {config.seed}."
    )


def _given_scores(config: TrainConfig) -> dict[str, Any]:
    """Scores that were measured elsewhere."""
    path = config.model.scores
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"model.scores: {path} is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"model.scores: {path} has no names of scores")
    cards = found.get("cards")  # of sparsessp benchmark quality
    return cards.get(config.model.id, found) if isinstance(cards, dict) else found


def _scores(
    files: RunFolder, best: dict[str, Any], validated_on: str
) -> dict[str, Any]:
    """R² of the best state, by structure and ratio."""
    validated = [one for one in files.entries() if one.get("r2") is not None]
    entry = next((one for one in validated if one["step"] == best["step"]), {})
    found = {
        "on": validated_on,
        "r2": best["r2"],
        "step": best["step"],
        "r2_by_structure_and_ratio": entry.get("scores", {}),
    }
    # What it began with, on the same voxels: so that one sees what was learnt.
    if validated and validated[0]["step"] == 0:
        found["r2_before_training"] = validated[0]["r2"]
    return {"validation": found}

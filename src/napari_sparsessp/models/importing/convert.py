"""Convert a published checkpoint to a model file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue, ValidationError

from napari_sparsessp.errors import InputError, ModelError, OutputError, invalid_field
from napari_sparsessp.files import output_errors, user_path
from napari_sparsessp.models.card import SCALINGS, ModelCard, network_fields
from napari_sparsessp.models.importing.answers import Answers, CheckpointInfo, Source
from napari_sparsessp.models.importing.checkpoint import COUNTER, check_finite, refusal
from napari_sparsessp.models.importing.formats import read_source
from napari_sparsessp.models.library import (
    DEFAULT_MODEL,
    build_empty,
    fill,
    shipped_folder,
    user_folder,
)
from napari_sparsessp.models.verification import make_check
from napari_sparsessp.models.weights import (
    CARD_KEY,
    digest_of_tensors,
    file_sha256,
    write_tensors,
)
from napari_sparsessp.tasks import Progress, no_progress

if TYPE_CHECKING:
    import torch

TRAINED = {"pytorch_fnet": (64, 64), "VisCy": (256, 256)}
"""Pixels (y, x) of the published training patches; 128×128 of the others."""

UNKNOWN = "Imported: the file does not say how well it predicts, or on what."
"""A limit of every imported model."""


def import_checkpoint(
    path: str | Path,
    answers: Answers,
    folder: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
    source: Mapping[str, JsonValue] | None = None,
) -> Path:
    """Convert a published checkpoint to a model file that computes the same.

    `answers` (of `answers_for`) are for the card; `source` is added to the card's.
    `folder` may also be the ``.safetensors`` file itself; the user's own models' folder
    if left out. Raises ModelError for a checkpoint that is damaged, hostile, not finite
    or unknown, InputError for answers that do not fit.
    """
    target = _target(answers, folder, overwrite)
    progress(0.0, None, "opening")
    opened = read_source(path)
    if opened.found.network["inputs"] > 1:
        raise ModelError(
            f"the network of {path} takes {opened.found.network['inputs']} input "
            "channels and the plugin predicts from one; run it with: sparsessp models "
            "run FILE --input PLANES.npy"
        )
    card = _card(opened.found, answers)
    network, tensors = _matched(opened, card, progress)
    progress(0.0, None, "running a test input")
    with torch_errors(opened.found.path):
        digest = digest_of_tensors(tensors)
        check = make_check(fill(network, tensors, card), digest)
    progress(0.0, None, "hashing the original")
    digits = file_sha256(opened.found.path)
    original = {**card.source, "sha256": digits, **(source or {})}
    card = card.model_copy(update={"check": check, "source": original})
    with output_errors(f"model {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(target, tensors, {CARD_KEY: card.to_json(indent=None)}, progress)
    return target


def open_network(path: str | Path) -> tuple[CheckpointInfo, torch.nn.Module]:
    """Build the network of a checkpoint for one run, without a model file."""
    source = read_source(path)
    found = source.found
    names = tuple(f"output_{index}" for index in range(found.outputs))
    answers = Answers(
        id="checkpoint",
        name="checkpoint",
        structures=found.structures or names,
        ratios=(found.ratio or 1,),
        voxel_size=(1, 1, 1),
        scaling="none",
    )
    card = _card(found, answers)
    network, tensors = _matched(source, card)
    with torch_errors(found.path):
        return found, fill(network, tensors, card)


@contextmanager
def torch_errors(path: Path) -> Iterator[None]:
    """Raise torch's errors over an odd network as a ModelError of one line."""
    try:
        yield
    except (MemoryError, RuntimeError, ValueError, IndexError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, MemoryError) or "memory" in text:
            raise ModelError(
                f"the network of {path} does not fit into memory; close other programs"
            ) from error
        raise ModelError(
            f"the network of {path} cannot be run ({text}); get the file again"
        ) from error


def _target(answers: Answers, folder: str | Path | None, overwrite: bool) -> Path:
    """Return the model's file; refuse a taken name before anything takes time."""
    shipped = {path.stem for path in shipped_folder().glob("*.safetensors")}
    if answers.id in {"default", DEFAULT_MODEL, *shipped}:
        raise InputError(
            f"{answers.id} is the id of a shipped model; choose another with --id"
        )
    place = user_path(folder) if folder is not None else user_folder()
    if place.suffix == ".safetensors":
        target = place
    else:
        target = place / f"{answers.id}.safetensors"
    if target.exists() and (target.is_dir() or not overwrite):
        raise OutputError(
            f"model {target} exists already; choose another --id, or --overwrite"
        )
    existing = next((p for p in target.parents if p.exists()), None)
    if existing is not None and not (
        existing.is_dir() and os.access(existing, os.W_OK)
    ):
        raise OutputError(f"{existing} is no folder to write into; choose another")
    return target


def _card(found: CheckpointInfo, answers: Answers) -> ModelCard:
    from napari_sparsessp.networks import NetworkConfig

    try:
        fields = dict(found.network)
        if answers.head_pool is not None:
            fields["head_pool"] = answers.head_pool
        network = NetworkConfig.model_validate(fields)
    except ValidationError as error:
        reason = invalid_field(error)[1]
        raise refusal(found.path, f"its network cannot be built ({reason})") from error
    if len(answers.structures) != found.outputs:
        raise InputError(
            f"{len(answers.structures)} structures are named for the network's "
            f"{found.outputs} outputs; name each output, in their order"
        )
    family = found.format.partition(" ")[0]
    height, width = TRAINED.get(family, (128, 128))
    try:
        return ModelCard(
            id=answers.id,
            version="imported",
            name=answers.name,
            licence=answers.licence,
            citation=answers.citation,
            structures=answers.structures,
            **network_fields(network),
            voxel_size=answers.voxel_size,
            patch=(network.depth, height, width),
            ratios=answers.ratios,
            modality=answers.modality,
            normalisation=SCALINGS[answers.scaling],
            scaling=answers.scaling,
            # Targets were scaled as the input was.
            units="iqr" if answers.scaling == "median_iqr" else "zscore",
            trained_on=answers.trained_on,
            limits=(*answers.limits, UNKNOWN),
            source={"format": found.format, "file": found.path.name},
        )
    except ValidationError as error:
        reason = invalid_field(error)[1]
        raise InputError(f"these answers do not fit together: {reason}") from error


def _matched(
    source: Source, card: ModelCard, progress: Progress = no_progress
) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """Return the empty network, and the checkpoint's tensors under our names."""
    path = source.found.path
    network = build_empty(card, path)
    wanted = network.state_dict()
    left = set(source.state) - set(source.names.values())
    if left:
        raise refusal(path, f"{min(left)} has no place in a {source.found.format} net")
    tensors: dict[str, torch.Tensor] = {}
    for ours, place in wanted.items():
        theirs = source.names.get(ours)
        if theirs is None:
            raise refusal(path, f"it has nothing for {ours}")
        tensors[ours] = _converted(source, theirs, place)
    for done, (ours, tensor) in enumerate(tensors.items(), 1):
        if tensor.is_floating_point():
            check_finite(tensor, source.names[ours], path)
        progress(done, len(tensors), "checking weights")
    return network, tensors


def _converted(source: Source, theirs: str, place: torch.Tensor) -> torch.Tensor:
    """Return a tensor in the type of its place; a copy only where the type differs."""
    import torch

    path = source.found.path
    tensor = source.state.get(theirs)
    if tensor is None:
        if theirs.endswith(COUNTER):  # torch before 0.4.1 did not count batches
            return torch.zeros(place.shape, dtype=place.dtype)
        raise refusal(path, f"{theirs} is missing")
    if theirs.endswith(COUNTER):
        tensor = tensor.reshape(place.shape)
    if tensor.shape != place.shape:
        shapes = ["×".join(map(str, shape)) for shape in (tensor.shape, place.shape)]
        raise refusal(path, f"{theirs} is {shapes[0]} where {shapes[1]} belongs")
    return tensor.to(place.dtype).contiguous()

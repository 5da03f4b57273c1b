"""Add a model of this package to the user's own, and give it another name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from napari_sparsessp.errors import InputError, ModelError, OutputError
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.exporting import copy_weights
from napari_sparsessp.models.header import CARD_KEY, read_header
from napari_sparsessp.models.registry import (
    CARD_NAME,
    card_of,
    installed_models,
    shipped_folder,
    user_folder,
    weights_file,
)
from napari_sparsessp.models.serialisation import Progress
from napari_sparsessp.models.store import write_text


class IdTaken(ModelError):
    """A model of this id is installed already."""


def add_model(
    path: str | Path,
    *,
    id: str | None = None,  # noqa: A002 - what the card calls it
    source: Mapping[str, JsonValue] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Copy a model file into the folder of the user's models.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file or a model's folder.
    id : str, optional
        Id of the copy; that of its card if left out.
    source : mapping, optional
        Goes into its card as well (`napari_sparsessp.models.origin`). Without it, and
        with the same id, the copy is the file bit by bit.
    overwrite : bool
        Replace the user's own model of this id.
    progress : callable, optional
        What it raises stops the copying; nothing is left then.

    Returns
    -------
    Path
        The copy.

    Raises
    ------
    ModelError
        The file is no whole model.
    IdTaken
        A model of this id is installed already.
    InputError
        The id is none.
    OutputError
        It cannot be written.
    """
    path = Path(path)
    card, weights = card_of(path), weights_file(path)
    changes: dict[str, Any] = {}
    if source is not None:
        changes["source"] = {**card.source, **source}
    if id is not None and id != card.id:
        changes["id"] = id
    changed = _changed(card, changes)
    target = user_folder() / f"{changed.id}.safetensors"
    _check_free(changed.id, target, overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A card that lies beside has to go into the one file.
        same = not changes and CARD_KEY in read_header(weights).metadata
        copy_weights(weights, target, None if same else changed, progress)
    except OSError as error:
        raise OutputError(
            f"cannot copy the model to {target}: {error.strerror or error}; make room "
            "or set SPARSESSP_MODELS to another folder"
        ) from error
    return target


def rename_model(
    path: str | Path, name: str, progress: Progress | None = None
) -> ModelCard:
    """Give a model of the user's another name for people; its id stays.

    Parameters
    ----------
    path : str or Path
        Its file or folder.
    name : str
    progress : callable, optional

    Returns
    -------
    ModelCard
        The new card.

    Raises
    ------
    InputError
        The name is empty or longer than 120 characters.
    ModelError
        The model came with the package, or is damaged.
    OutputError
        It cannot be written.
    """
    path = Path(path)
    name = " ".join(name.split())
    if not 0 < len(name) <= 120:
        raise InputError("a model's name has 1 to 120 characters; write another one")
    if path.parent == shipped_folder():
        raise ModelError(
            "a model that came with the plugin keeps its name; export it for a copy "
            "of your own"
        )
    card = card_of(path).model_copy(update={"name": name})
    weights = weights_file(path)
    try:
        copy_weights(weights, weights, card, progress)
        if path.is_dir():
            write_text(path / CARD_NAME, card.to_json())
    except OSError as error:
        raise OutputError(
            f"cannot write {weights}: {error.strerror or error}; make room or check "
            "the folder's rights"
        ) from error
    return card


def _changed(card: ModelCard, changes: Mapping[str, Any]) -> ModelCard:
    """The card with these fields, looked over as a whole."""
    if not changes:
        return card
    fields = {**card.model_dump(by_alias=True), **changes}
    try:
        return ModelCard.model_validate(fields)
    except ValidationError as error:
        raise InputError(
            f"{changes.get('id')!r} is no id of a model; write lower-case letters, "
            "digits and -"
        ) from error


def _check_free(model_id: str, target: Path, overwrite: bool) -> None:
    """Never two models of one id, and none replaced without a word."""
    for place, card in installed_models():
        if isinstance(card, ModelError) or card.id != model_id:
            continue
        if place.parent == shipped_folder():
            raise IdTaken(
                f"a model with the id {model_id} is installed already, with the "
                "plugin; choose another id"
            )
        if not (overwrite and place == target):
            raise IdTaken(
                f"a model with the id {model_id} is installed already; remove that "
                "one first, or choose another id"
            )
    if target.exists() and not overwrite:
        raise IdTaken(f"{target} is there already; remove it first")

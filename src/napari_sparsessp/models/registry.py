"""Which models are there, and where: the shipped ones and the user's own.

Nothing here loads torch: only the headers of the files are read.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from napari_sparsessp.errors import ModelError
from napari_sparsessp.files import folder_of
from napari_sparsessp.models.card import ModelCard, parse_card
from napari_sparsessp.models.facts import with_facts
from napari_sparsessp.models.header import CARD_KEY, read_header

DEFAULT_MODEL = "colony-3to2d"
"""Id of the model that ``default`` stands for."""

WEIGHTS_NAME = "model.safetensors"
CARD_NAME = "card.json"

logger = logging.getLogger(__name__)


def shipped_folder() -> Path:
    """Folder of the models inside the package."""
    return Path(__file__).parent / "weights"


def user_folder() -> Path:
    """Folder of the user's own models; it need not exist."""
    return folder_of("models")


def weights_file(path: Path) -> Path:
    """Give the safetensors file of a model that is a file or a folder.

    Raises
    ------
    ModelError
        There is nothing, or the folder holds no ``model.safetensors``.
    """
    if path.is_dir():
        if (path / WEIGHTS_NAME).is_file():
            return path / WEIGHTS_NAME
        raise ModelError(
            f"folder {path} holds no {WEIGHTS_NAME}; name a model's own folder"
        )
    if not path.exists():
        raise ModelError(f"there is no model file {path}; check the path")
    return path


def card_of(path: Path) -> ModelCard:
    """Read the card of a model file or folder.

    The card inside the weights file counts; ``card.json`` beside it is a copy to
    read, used only where the file has none. A shipped model's gets what
    `napari_sparsessp.models.facts` knows of it.

    Raises
    ------
    ModelError
        The file is damaged, or has no card.
    """
    weights = weights_file(path)
    text = read_header(weights).metadata.get(CARD_KEY)
    beside = weights.parent / CARD_NAME
    if text is None and weights.name == WEIGHTS_NAME and beside.is_file():
        try:
            text = beside.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"cannot read {beside}; get the model's folder again"
            ) from error
    if text is None:
        raise ModelError(
            f"model file {weights} has no card, so nothing tells how to use it; "
            "save it again with napari_sparsessp.save_model"
        )
    card = parse_card(text, str(path))
    return with_facts(card, weights.parent) if _is_shipped(weights) else card


def _is_shipped(weights: Path) -> bool:
    return weights.parent == shipped_folder()


def installed_models() -> Iterator[tuple[Path, ModelCard | ModelError]]:
    """Go through all models, shipped ones first; a damaged one comes as its error."""
    for folder in (shipped_folder(), user_folder()):
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.suffix != ".safetensors" and not (path / WEIGHTS_NAME).is_file():
                continue
            try:
                yield path, card_of(path)
            except ModelError as error:
                yield path, error


def list_models() -> list[ModelCard]:
    """List the cards of all models that can be used, the default first."""
    cards = []
    for path, card in installed_models():
        if isinstance(card, ModelCard):
            cards.append(card)
        else:
            logger.warning("left out model %s: %s", path, card)
    return sorted(cards, key=lambda card: card.id != DEFAULT_MODEL)


def find_model(id_or_path: str | Path = "default", topology: str | None = None) -> Path:
    """Find a model by its id or path.

    Parameters
    ----------
    id_or_path : str or Path
        ``default``, an id, a ``.safetensors`` file or a model's folder.
    topology : str, optional
        With ``default``: take the first model of this topology. Otherwise the
        model must be of it.

    Returns
    -------
    Path
        The model's file or folder.

    Raises
    ------
    ModelError
        No such model; the message lists those that are there.
    """
    wanted = str(id_or_path)
    if wanted == "default" and topology is not None:
        return _of_topology(topology)
    path = _by_id(DEFAULT_MODEL if wanted == "default" else wanted)
    if path is None:
        path = Path(wanted)
        try:
            path = path.expanduser()
            found = path.exists()
        except (OSError, RuntimeError):  # no name that a file could have
            found = False
        if not found:
            raise _unknown(wanted[:80], path)
    if topology is not None and card_of(path).topology != topology:
        raise ModelError(
            f"model {wanted} has topology {card_of(path).topology}, not {topology}; "
            "leave --topology out or name another model"
        )
    return path


def read_card(
    id_or_path: str | Path = "default", topology: str | None = None
) -> ModelCard:
    """Read the card of a model by its id or path, without torch.

    Raises
    ------
    ModelError
        No such model, or one that is damaged.
    """
    return card_of(find_model(id_or_path, topology))


def _by_id(model_id: str) -> Path | None:
    broken = None
    for path, card in installed_models():
        if isinstance(card, ModelCard) and card.id == model_id:
            return path
        if isinstance(card, ModelError) and path.stem == model_id:
            broken = card
    if broken is not None:
        raise broken
    return None


def _of_topology(topology: str) -> Path:
    served = set()
    for path, card in installed_models():
        if isinstance(card, ModelCard):
            if card.topology == topology:
                return path
            served.add(card.topology)
    raise ModelError(
        f"no model of topology {topology} is installed; "
        f"choose one of: {', '.join(sorted(served)) or 'none'}"
    )


def _unknown(wanted: str, path: Path) -> ModelError:
    known = ", ".join(card.id for card in list_models()) or "none"
    if path.suffix or len(path.parts) > 1:
        return ModelError(
            f"there is no model file {wanted}; check the path, or use one of the "
            f"installed models: {known}"
        )
    return ModelError(
        f"there is no model called {wanted}; installed models: {known}; "
        f"your own belong into {user_folder()}"
    )

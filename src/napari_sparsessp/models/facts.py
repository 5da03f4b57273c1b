"""What became known of a shipped model after its file was made.

How far its errors go and what its images looked like is measured with the finished
weights. It lies beside them in ``facts.json``, so that the large files stay as they
are, and counts only for the very weights that it was measured with.
"""

import json
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.card import Calibration, Digest, ModelCard, Range

FACTS_NAME = "facts.json"


class Facts(BaseModel):
    """Of one model.

    Attributes
    ----------
    tensors : str
        Digest of the weights, as the card's check has it.
    uncertainty, familiarity : dict
        As `ModelCard` has them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tensors: Digest
    uncertainty: dict[str, Calibration] = {}
    familiarity: dict[str, tuple[Range, ...]] = {}


_TABLE = TypeAdapter(dict[str, Facts])


def with_facts(card: ModelCard, folder: Path) -> ModelCard:
    """Add what is known of a model to its card.

    Parameters
    ----------
    card : ModelCard
    folder : Path
        Where ``facts.json`` may lie.

    Returns
    -------
    ModelCard
        The same where nothing is known of these weights, or the card says it itself.

    Raises
    ------
    ModelError
        The facts are damaged.
    """
    facts = read_facts(folder).get(card.id)
    if facts is None or card.check is None or card.check.tensors != facts.tensors:
        return card
    changes = {
        name: value
        for name in ("uncertainty", "familiarity")
        if (value := getattr(facts, name)) and not getattr(card, name)
    }
    return card.model_copy(update=changes)


@cache
def read_facts(folder: Path) -> dict[str, Facts]:
    """Read the facts of a folder's models by their ids; none without a file.

    Raises
    ------
    ModelError
        The file is damaged.
    """
    path = folder / FACTS_NAME
    if not path.is_file():
        return {}
    try:
        return _TABLE.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"{path} is damaged, which says what models can be trusted with; install "
            "napari-sparsessp again"
        ) from error


def write_facts(folder: Path, facts: dict[str, Facts]) -> Path:
    """Write the facts of a folder's models, a line for each structure and trait."""
    lines = []
    for model_id, one in sorted(facts.items()):
        content = one.model_dump(mode="json", exclude_none=True)
        parts = [f'  "tensors": {json.dumps(content["tensors"])}']
        for name in ("uncertainty", "familiarity"):
            rows = [
                f"   {json.dumps(key)}: {json.dumps(value)}"
                for key, value in content[name].items()
            ]
            parts.append(f'  "{name}": {{\n' + ",\n".join(rows) + "\n  }")
        lines.append(f" {json.dumps(model_id)}: {{\n" + ",\n".join(parts) + "\n }")
    path = folder / FACTS_NAME
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    read_facts.cache_clear()
    return path

"""All models with what a list of them shows; a thousand take no longer than needed."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from napari_sparsessp.errors import ModelError
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.origin import origin_words
from napari_sparsessp.models.registry import (
    DEFAULT_MODEL,
    WEIGHTS_NAME,
    card_of,
    shipped_folder,
    user_folder,
)


@dataclass(frozen=True)
class Entry:
    """One model, or what should have been one.

    Attributes
    ----------
    path : Path
        Its file or folder.
    card : ModelCard or None
        None where it is damaged.
    problem : str
        Why it cannot be used; "" for one that can.
    size : int
        Bytes on the disk.
    shipped : bool
        It came with the package.
    """

    path: Path
    card: ModelCard | None
    problem: str
    size: int
    shipped: bool

    @property
    def name(self) -> str:
        """What people call it; the file's name where it is damaged."""
        return self.path.name if self.card is None else self.card.name

    @property
    def is_default(self) -> bool:
        """Whether ``default`` stands for it."""
        return self.card is not None and self.card.id == DEFAULT_MODEL

    @property
    def origin(self) -> str:
        """Where it comes from, in a few words."""
        if self.card is None:
            return ""
        return origin_words(self.card.source, shipped=self.shipped)


def all_entries() -> list[Entry]:
    """List all models, the default first, then the shipped ones, then the user's.

    Only headers are read, and only of files that have changed since the last call.
    """
    entries = []
    for folder in (shipped_folder(), user_folder()):
        if not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            weights = path / WEIGHTS_NAME if path.is_dir() else path
            if weights.suffix == ".safetensors" and not path.name.startswith("."):
                entries += _entry(path, weights)
    return sorted(entries, key=lambda one: not one.is_default)


def _entry(path: Path, weights: Path) -> list[Entry]:
    """The model of a path; none where there is no file."""
    try:
        files = [weights] if weights == path else list(path.iterdir())
        states = [file.stat() for file in files]
        changed = max(state.st_mtime_ns for state in states)
        size = sum(state.st_size for state in states)
        weights.stat()
    except (OSError, ValueError):
        return []
    return [_read(path, changed, size)]


@lru_cache(maxsize=4096)
def _read(path: Path, _changed: int, size: int) -> Entry:
    shipped = path.parent == shipped_folder()
    try:
        return Entry(path, card_of(path), "", size, shipped)
    except ModelError as error:
        return Entry(path, None, str(error), size, shipped)

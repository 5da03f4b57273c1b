"""Delete models of the user's own, and get them back.

They wait in a hidden folder among the user's models, on the same disk, so that a
deletion takes no time and can be undone, also after a restart.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from napari_sparsessp.errors import ModelError, OutputError
from napari_sparsessp.models.registry import (
    card_of,
    installed_models,
    shipped_folder,
    user_folder,
)

FOLDER = ".deleted"

KEPT_DAYS = 30
"""What was deleted longer ago is gone for good at the next deletion."""

_DAY = 86_400


@dataclass(frozen=True)
class Deleted:
    """A model in the trash.

    Attributes
    ----------
    path : Path
        Where it lies now.
    when : float
        Seconds since 1970.
    """

    path: Path
    when: float


def delete_model(path: str | Path) -> Deleted:
    """Move a model of the user's own into the trash.

    Parameters
    ----------
    path : str or Path
        Its file or folder in the user's folder; it may be damaged.

    Returns
    -------
    Deleted

    Raises
    ------
    ModelError
        It came with the package, or is not there.
    OutputError
        It cannot be moved, for example because another program uses it.
    """
    path = Path(path)
    if path.parent == shipped_folder():
        raise ModelError(
            f"{path.stem} came with the plugin and cannot be deleted; it goes when "
            "napari-sparsessp is uninstalled"
        )
    if path.parent != user_folder():
        raise ModelError(
            f"{path} does not lie among your models; delete it where it lies"
        )
    if not (path.exists() or path.is_symlink()):
        raise ModelError(f"there is no model file {path} any more; look again")
    _forget_old()
    now = time.time()
    place = user_folder() / FOLDER / f"{time.time_ns():020d}"
    try:
        place.mkdir(parents=True)
        path.rename(place / path.name)
    except OSError as error:
        raise OutputError(
            f"cannot delete {path}: {error.strerror or error}; close what uses it"
        ) from error
    return Deleted(place / path.name, now)


def deleted_models() -> list[Deleted]:
    """List what is in the trash, the last deleted first."""
    found = []
    trash = user_folder() / FOLDER
    for place in sorted(trash.iterdir(), reverse=True) if trash.is_dir() else ():
        if place.name.isdecimal() and place.is_dir():
            when = int(place.name) / 1e9
            found += [Deleted(path, when) for path in place.iterdir()]
    return found


def put_back(deleted: Deleted) -> Path:
    """Give a deleted model its place again.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        It is gone, or another one has its id or file name by now.
    OutputError
        It cannot be moved.
    """
    target = user_folder() / deleted.path.name
    if not (deleted.path.exists() or deleted.path.is_symlink()):
        raise ModelError(f"{target.stem} is not in the trash any more")
    if target.exists() or _id_of(deleted.path) in _ids():
        raise ModelError(
            f"another model has the place of {target.stem} by now; remove that one "
            "first"
        )
    try:
        deleted.path.rename(target)
        deleted.path.parent.rmdir()
    except OSError as error:
        raise OutputError(
            f"cannot put {target} back: {error.strerror or error}; move it there from "
            f"{deleted.path}"
        ) from error
    return target


def _ids() -> set[str]:
    return {c.id for _, c in installed_models() if not isinstance(c, ModelError)}


def _id_of(path: Path) -> str | None:
    try:
        return card_of(path).id
    except ModelError:
        return None  # a damaged one has no id that another could have


def _forget_old() -> None:
    for one in deleted_models():
        if one.when < time.time() - KEPT_DAYS * _DAY:
            shutil.rmtree(one.path.parent, ignore_errors=True)

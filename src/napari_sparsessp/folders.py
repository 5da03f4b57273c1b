"""Choose where your own models and downloaded samples are kept.

An environment variable comes first, then what was chosen in napari's preferences (it
is written to a small file, so that the command line keeps to it as well), then the
system's place for a program's data.
"""

import logging
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.whole_file import whole_file
from napari_sparsessp.yaml_file import read_yaml

Kind = Literal["models", "samples"]

VARIABLES: dict[Kind, str] = {
    "models": "SPARSESSP_MODELS",
    "samples": "SPARSESSP_SAMPLES",
}
"""Environment variables that name a folder for this process, whatever was chosen."""

CONFIG_VARIABLE = "SPARSESSP_CONFIG"
"""Environment variable that names the folder of the file of chosen folders."""

logger = logging.getLogger(__name__)


def folder_of(kind: Kind) -> Path:
    """Give the folder for models or samples; it need not exist.

    Parameters
    ----------
    kind : {"models", "samples"}

    Returns
    -------
    Path
    """
    named = os.environ.get(VARIABLES[kind]) or chosen_folders().get(kind)
    return Path(named).expanduser() if named else usual_folder(kind)


def usual_folder(kind: Kind) -> Path:
    """Give the folder that is used where nobody chose another."""
    from platformdirs import user_data_path

    return user_data_path("napari-sparsessp", appauthor=False) / kind


def folders_file() -> Path:
    """Give the file that holds the chosen folders; it need not exist."""
    override = os.environ.get(CONFIG_VARIABLE)
    if override:
        return Path(override).expanduser() / "folders.yaml"
    from platformdirs import user_config_path

    return user_config_path("napari-sparsessp", appauthor=False) / "folders.yaml"


def chosen_folders() -> dict[str, str]:
    """Give the folders that were chosen; a file that cannot be read chose none."""
    path = folders_file()
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return {}
    return dict(_read(path, changed))


def choose_folders(chosen: Mapping[Kind, str]) -> None:
    """Remember folders for all later sessions, this one included.

    Parameters
    ----------
    chosen : mapping
        Kind to folder; "" gives the usual one back. Kinds left out stay as they are.

    Raises
    ------
    InputError
        A folder's path is not a whole one, or belongs to a file.
    OutputError
        The choice cannot be written.
    """
    import yaml

    now = chosen_folders()
    for kind, folder in chosen.items():
        if folder:
            check_folder(kind, folder)
        now[kind] = folder
    kept = {kind: folder for kind, folder in now.items() if folder}
    if kept == chosen_folders():
        return
    path = folders_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; "
            f"set {VARIABLES['models']} or {VARIABLES['samples']} instead"
        ) from error
    with whole_file(path, "the chosen folders") as part:
        part.write_text(yaml.safe_dump(kept), encoding="utf-8")
    _read.cache_clear()


def check_folder(kind: Kind, folder: str) -> None:
    """Refuse a folder that cannot be meant.

    Raises
    ------
    InputError
        Its path is not a whole one, or belongs to a file.
    """
    try:
        path = Path(folder).expanduser()
        whole, is_file = path.is_absolute(), path.is_file()
    except (OSError, RuntimeError, ValueError):  # no name that a folder could have
        whole, is_file = False, False
    if not whole:
        raise InputError(
            f"the folder for {kind} {folder[:80]!r} is no whole path; "
            "begin it at the root or with ~"
        )
    if is_file:
        raise InputError(
            f"the folder for {kind} {folder[:80]!r} is a file; name a folder"
        )


@lru_cache(maxsize=4)
def _read(path: Path, _changed: int) -> tuple[tuple[str, str], ...]:
    try:
        found = read_yaml(path, "file of chosen folders")
    except InputError as error:
        logger.warning("the usual folders are used: %s", error)
        return ()
    known = found.items() if isinstance(found, dict) else ()
    kept = []
    for kind, folder in known:
        try:
            if kind not in VARIABLES or not isinstance(folder, str):
                raise InputError(f"{path} has a {kind!r} that is no folder; mend it")
            check_folder(kind, folder)
        except InputError as error:
            logger.warning("the usual folder is used: %s", error)
        else:
            kept.append((kind, folder))
    return tuple(kept)

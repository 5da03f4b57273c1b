"""Write whole files only, lock outputs, read YAML safely, find the user's folders.

A user's folder: an environment variable comes first, then what was chosen in napari's
preferences (kept in a small file, so that the command line follows it as well), then
the system's place for a program's data.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from napari_sparsessp.errors import InputError, OutputError

Kind = Literal["models", "samples"]

VARIABLES: dict[Kind, str] = {
    "models": "SPARSESSP_MODELS",
    "samples": "SPARSESSP_SAMPLES",
}
"""Environment variables that name a folder for this process, whatever was chosen."""

CONFIG_VARIABLE = "SPARSESSP_CONFIG"
"""Environment variable that names the folder of the file of chosen folders."""

LARGEST_YAML = 1_000_000
"""Bytes. Such a file is a page of text; anything larger is another file."""

MOST_YAML_VALUES = 100_000
"""Once every alias is replaced by what it stands for: a few lines can make 10⁹."""

LONGEST_NAME = 255
"""Bytes of a file's name, on nearly every file system."""

# What file systems answer that know no locks: NFS, SMB and Lustre without them.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EIO}

ELSEWHERE = "choose another place"

logger = logging.getLogger(__name__)


@contextmanager
def output_errors(
    what: object, advice: str = ELSEWHERE, verb: str = "write"
) -> Iterator[None]:
    """Raise an OSError as the OutputError ``cannot VERB WHAT: reason; ADVICE``."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot {verb} {what}: {error.strerror or error}; {advice}"
        ) from error


@contextmanager
def atomic_write(path: Path, what: str = "", advice: str = ELSEWHERE) -> Iterator[Path]:
    """Yield where to write, and rename it at the end: no half file is ever found.

    `what` is the kind of file ("report") and `advice` the end of the message.
    """
    part = beside(path, f"{os.getpid()}.part")
    with output_errors(f"{what} {path}".strip(), advice):
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def user_path(path: str | Path) -> Path:
    """Resolve ``~``; InputError where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{str(path)[:80]} names the home folder of nobody on this computer; write "
            "the whole path"
        ) from error


class PartialOutput:
    """A locked, hidden folder in which an output grows until it gets its name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = place_of(path)  # The output without links (`place_of`)
        # Beside it; the same for every run that writes this output. Its ending is of no
        # image, so that no program takes it for one
        self.folder = beside(self.place, "partial")
        self._lock_path = beside(self.place, "lock")
        self._lock: Any = None

    def lock(self) -> None:
        """Keep other processes from writing this output; OutputError if one does."""
        from filelock import FileLock, Timeout

        for _ in range(3):
            lock = FileLock(self._lock_path, timeout=0)
            try:
                lock.acquire()
            except Timeout:
                raise OutputError(
                    f"another process is writing {self.path}; wait until it is done, "
                    "or give another name"
                ) from None
            except (NotImplementedError, OSError) as error:
                if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                    raise
                with suppress(OSError):
                    self._lock_path.unlink()
                return
            if self._lock_path.exists():
                self._lock = lock
                return
            # Its holder has just removed it: the name is another file's.
            lock.release()
        raise OutputError(f"{self.path} is being written by others; try again")

    def restore(self) -> bool:
        """Rename an earlier result back if a process died in `commit`; return if so."""
        old = beside(self.place, "old")
        if not old.exists():
            return False
        if self.place.exists():
            remove(old)
        else:
            old.replace(self.place)
        return True

    def commit(self, image: Path) -> None:
        """Rename the finished image, and remove the partial folder."""
        commit(image, self.place)
        self.clear()

    def clear(self) -> None:
        """Remove the partial folder."""
        remove(self.folder)

    def unlock(self) -> None:
        """Release the lock."""
        if self._lock is None:
            return
        if os.name != "nt":  # there an open file cannot be removed
            self._lock_path.unlink(missing_ok=True)
        self._lock.release()
        self._lock = None
        if os.name == "nt":
            with suppress(OSError):  # the next process may have it open already
                self._lock_path.unlink(missing_ok=True)


def place_of(path: Path) -> Path:
    """Resolve links, so that one output has one place and a link is kept."""
    return path.resolve()


def commit(image: Path, place: Path) -> None:
    """Rename a finished image to `place`, which is on the same disk and no link.

    What is there is replaced, and stays if an OSError prevents that.
    """
    if not place.is_dir():
        image.replace(place)
        return
    # Folders cannot be swapped in one step.
    old = beside(place, "old")
    remove(old)
    place.replace(old)
    try:
        image.replace(place)
    except OSError:
        old.replace(place)
        raise
    remove(old)


def beside(place: Path, ending: str) -> Path:
    """Return the hidden name of something that belongs to a file, next to it."""
    name = f".{place.name}.{ending}"
    if len(os.fsencode(name)) > LONGEST_NAME:  # a digest of it is as good
        digest = hashlib.sha256(os.fsencode(place.name)).hexdigest()[:32]
        name = f".{digest}.{ending}"
    return place.with_name(name)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with its contents, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def folder_of(kind: Kind) -> Path:
    """Return the folder for models or samples; it need not exist."""
    named = os.environ.get(VARIABLES[kind]) or chosen_folders().get(kind)
    return Path(named).expanduser() if named else usual_folder(kind)


def usual_folder(kind: Kind) -> Path:
    """Return the default folder for models or samples."""
    from platformdirs import user_data_path

    return _own(user_data_path) / kind


def _own(place: Callable[..., Path]) -> Path:
    """Return our folder there; one that cannot be where the user has no home."""
    try:
        return place("napari-sparsessp", appauthor=False)
    except RuntimeError:  # nothing is read from it, and writing there is an error
        return Path(os.devnull) / "set-HOME-or-a-folder"


def folders_file() -> Path:
    """Return the file that holds the chosen folders; it need not exist."""
    override = os.environ.get(CONFIG_VARIABLE)
    if override:
        return Path(override).expanduser() / "folders.yaml"
    from platformdirs import user_config_path

    return _own(user_config_path) / "folders.yaml"


def chosen_folders() -> dict[str, str]:
    """Return the chosen folders by kind; {} where the file cannot be read."""
    path = folders_file()
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return {}
    return dict(_read_chosen(path, changed))


def choose_folders(chosen: Mapping[Kind, str]) -> None:
    """Save folders for this and all later sessions.

    "" restores the default of a kind; kinds left out are kept. InputError: a path is
    not a whole one, or belongs to a file.
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
    advice = f"set {VARIABLES['models']} or {VARIABLES['samples']} instead"
    with output_errors(path, advice):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "the chosen folders") as part:
        part.write_text(yaml.safe_dump(kept), encoding="utf-8")
    _read_chosen.cache_clear()


def check_folder(kind: Kind, folder: str) -> None:
    """Raise InputError for a path that cannot be a folder."""
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
def _read_chosen(path: Path, _changed: int) -> tuple[tuple[str, str], ...]:
    try:
        content = read_yaml(path, "file of chosen folders")
    except InputError as error:
        logger.warning("the usual folders are used: %s", error)
        return ()
    kept = []
    for kind, folder in content.items() if isinstance(content, dict) else ():
        try:
            if kind not in VARIABLES or not isinstance(folder, str):
                raise InputError(f"{path} has a {kind!r} that is no folder; mend it")
            check_folder(kind, folder)
        except InputError as error:
            logger.warning("the usual folder is used: %s", error)
        else:
            kept.append((kind, folder))
    return tuple(kept)


def read_yaml(path: Path, what: str) -> Any:
    """Read a small YAML (or JSON) file; nothing in it is executed.

    InputError: the `what` ("request") is missing, too large or no YAML, has a key
    twice, or aliases that multiply.
    """
    import yaml

    try:
        return parse_yaml(_yaml_text(path, what))
    except OSError as error:
        raise InputError(
            f"cannot read {what} {str(path)[:200]}: {error.strerror}; check the path"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where is not None else ""
        raise InputError(f"{what} {path} is not valid YAML{line}; mend it") from error
    except _AmbiguousYaml as error:
        raise InputError(f"{what} {path} {error}; mend it") from error


def parse_yaml(text: str) -> Any:
    """Parse YAML text, as `read_yaml` does."""
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count_values(node, {})
        return loader.construct_document(node)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError) as error:
        # PyYAML meets 1:2:3_ or an unhashable key with whatever it stumbles over.
        raise ValueError("a value that cannot be made") from error
    finally:
        loader.dispose()


class _AmbiguousYaml(Exception):
    """YAML that means more or less than it should."""


def _yaml_text(path: Path, what: str) -> str:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{what} {path} is a folder; name the file in it")
    if not stat.S_ISREG(status.st_mode):  # its end may never come
        raise InputError(f"{what} {path} is a pipe or a device; name a file")
    if status.st_size > LARGEST_YAML:
        raise InputError(f"{path} is too large for a {what}; check the path")
    return path.read_text(encoding="utf-8")


def _count_values(node: Any, known: dict[int, int]) -> int:
    """Count the values of a node with all aliases replaced, and find keys twice."""
    if id(node) in known:
        if not known[id(node)]:
            raise _AmbiguousYaml("contains itself")
        return known[id(node)]
    known[id(node)] = 0
    total = 1 + sum(_count_values(child, known) for child in _child_nodes(node))
    if total > MOST_YAML_VALUES:
        raise _AmbiguousYaml(f"has more than {MOST_YAML_VALUES} values")
    known[id(node)] = total
    return total


def _child_nodes(node: Any) -> Iterator[Any]:
    if isinstance(node.value, str):
        return
    seen = set()
    for child in node.value:
        if not isinstance(child, tuple):
            yield child
            continue
        key = child[0]
        if isinstance(key.value, str):
            if key.value in seen and key.value != "<<":
                raise _AmbiguousYaml(f"has {key.value[:80]!r} twice")
            seen.add(key.value)
        yield from child

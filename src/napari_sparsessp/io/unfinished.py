"""Where a result grows, its way to its name, and the lock that keeps others out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import OutputError


class Unfinished:
    """Where the output of this name is made, and its way to the name.

    Parameters
    ----------
    path : Path
        The output to be.

    Attributes
    ----------
    place : Path
        Where it lies (`place_of`).
    folder : Path
        Beside it, hidden; the same for every run that writes this output. Its ending
        is of no image, so that no program takes it for one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = place_of(path)
        self.folder = _beside(self.place, "partial")
        self._lock_path = _beside(self.place, "lock")
        self._lock: Any = None

    def lock(self) -> None:
        """Keep every other process from writing this output.

        Raises
        ------
        OutputError
            Another one is writing it now.
        """
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
            except NotImplementedError:
                return  # some network drives know no locks
            if self._is_named():
                self._lock = lock
                return
            # The one that held it has just removed it: the name is another file's.
            lock.release()
        raise OutputError(f"{self.path} is being written by others; try again")

    def restore(self) -> bool:
        """Give an earlier result its name back, if a process died between two.

        Returns
        -------
        bool
            Whether there was one.
        """
        old = _beside(self.place, "old")
        if not old.exists():
            return False
        if self.place.exists():
            remove(old)
        else:
            old.replace(self.place)
        return True

    def put_in_place(self, image: Path) -> None:
        """Give the finished image its name, and remove what was needed to make it."""
        put_in_place(image, self.place)
        self.clear()

    def clear(self) -> None:
        """Remove whatever is unfinished."""
        remove(self.folder)

    def unlock(self) -> None:
        """Let others write."""
        if self._lock is None:
            return
        if os.name != "nt":  # there an open file cannot be removed
            self._lock_path.unlink(missing_ok=True)
        self._lock.release()
        self._lock = None
        if os.name == "nt":
            self._remove_lock()

    def _remove_lock(self) -> None:
        try:
            self._lock_path.unlink(missing_ok=True)
        except OSError:
            return  # the next one has it open already

    def _is_named(self) -> bool:
        """Whether the lock that was acquired is the file of that name."""
        return self._lock_path.exists()


def place_of(path: Path) -> Path:
    """Tell where an output lies: a link stays, and what it leads to is written.

    Nor must a link in the way there make two places of one.
    """
    return path.resolve()


def put_in_place(image: Path, place: Path) -> None:
    """Give a finished image its name.

    Parameters
    ----------
    image : Path
        On the same disk.
    place : Path
        No link (`place_of`). What is there is replaced, and stays if that fails.

    Raises
    ------
    OSError
        It cannot be given that name.
    """
    if not place.is_dir():
        image.replace(place)
        return
    # Folders cannot be swapped in one step.
    old = _beside(place, "old")
    remove(old)
    place.replace(old)
    try:
        image.replace(place)
    except OSError:
        old.replace(place)
        raise
    remove(old)


def _beside(place: Path, ending: str) -> Path:
    return place.with_name(f".{place.name}.{ending}")


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that it holds, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

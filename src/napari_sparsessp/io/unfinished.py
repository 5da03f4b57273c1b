"""The hidden folder in which a result grows, and the lock that keeps others out."""

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
    folder : Path
        Beside the output, hidden; the same for every run that writes this output. Its
        ending is of no image, so that no program takes it for one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # A link in the way there must not make two places of one.
        place = path.parent.resolve()
        self.folder = place / f".{path.name}.partial"
        self._old = place / f".{path.name}.old"
        self._lock_path = place / f".{path.name}.lock"
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
        if not self._old.exists():
            return False
        if self.path.exists():
            _remove(self._old)
        else:
            self._old.replace(self.path)
        return True

    def put_in_place(self, image: Path) -> None:
        """Give the finished image its name, and remove what was needed to make it."""
        place = self._old.with_name(self.path.name)
        if place.is_dir() and not place.is_symlink():
            # Folders cannot be swapped in one step.
            _remove(self._old)
            place.replace(self._old)
            try:
                image.replace(place)
            except OSError:
                self._old.replace(place)
                raise
            _remove(self._old)
        else:
            image.replace(place)
        self.clear()

    def clear(self) -> None:
        """Remove whatever is unfinished."""
        _remove(self.folder)

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


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

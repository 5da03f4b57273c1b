"""Keep Python's collector of garbage from stopping the window while work is done.

A full pass looks at every object of the process. With napari and torch loaded that
takes a good part of a second, and it happens in whatever thread makes the next object:
the window stands still. While a prediction runs, what was there before it is left out
of these passes; it is looked at again afterwards, so that nothing is lost.
"""

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_users = 0


@contextmanager
def calm_collector() -> Iterator[Callable[[], None]]:
    """Leave all objects that are there out of the collector's passes.

    Several may be under way at once; the last one that ends brings all back.

    Yields
    ------
    callable
        Leaves out what was made since then too, for example a model that was loaded.
    """
    global _users
    with _lock:
        _users += 1
        gc.freeze()
    try:
        yield gc.freeze
    finally:
        with _lock:
            _users -= 1
            if not _users:
                gc.unfreeze()

"""Tells every dock of every viewer that the user's models have changed.

Models lie in one folder for the whole process, so that there is one teller for all:
what is trained, imported, fetched or deleted in one dock is offered in the others.
"""

from functools import cache

from qtpy.QtCore import QObject, Signal


class ModelNews(QObject):
    """The teller; `model_news` gives the only one.

    Signals
    -------
    changed : str
        Id of a model that is new, another, or gone.
    """

    changed = Signal(str)


@cache
def model_news() -> ModelNews:
    """Give the one teller of this process; it outlives all viewers."""
    return ModelNews()

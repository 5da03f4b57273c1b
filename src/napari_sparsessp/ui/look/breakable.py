"""Let paths, names and addresses wrap, which have no spaces to wrap at."""

import re

_LONG = 18
_PLACES = re.compile(r"(?<=[_./\\:?&=-])(?=\w)")


def breakable(text: str) -> str:
    """Allow line breaks within long words, after their dots, dashes and slashes.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        The same to the eye: what is put in has no width.
    """
    words = re.split(r"(\s+)", text)
    return "".join(
        _PLACES.sub("\u200b", word) if len(word) > _LONG else word for word in words
    )

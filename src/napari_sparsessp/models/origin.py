"""Where a model comes from, as its card and its place tell.

``card.source`` keeps it, so that it travels with the file: ``format`` and ``file`` of
an imported checkpoint, ``fetched`` (an address or DOI) of a download, ``trained_with``
and ``began_with`` of one that was trained.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import JsonValue

from napari_sparsessp import __version__

_SECRET = ("?", "#")
"""What may follow in an address that is nobody else's business, such as a token."""


def of_download(url: str, sha256: str) -> dict[str, JsonValue]:
    """Write down that a file was fetched.

    Parameters
    ----------
    url : str
        Address or DOI as the user gave it.
    sha256 : str
        Of the file as it came.
    """
    for mark in _SECRET:
        url = url.partition(mark)[0]
    return {"fetched": url, "fetched_sha256": sha256}


def of_training(began_with: str = "") -> dict[str, JsonValue]:
    """Write down that a model was trained with this version.

    Parameters
    ----------
    began_with : str
        Id of the model that it began with; "" for none.
    """
    made: dict[str, JsonValue] = {"trained_with": f"napari-sparsessp {__version__}"}
    return {**made, "began_with": began_with} if began_with else made


def origin_words(source: Mapping[str, Any], *, shipped: bool = False) -> str:
    """Say where a model comes from.

    Parameters
    ----------
    source : mapping
        Of the card.
    shipped : bool
        It lies among the models of the package.

    Returns
    -------
    str
        A few words, such as ``imported from RepMode, fetched from zenodo.org``.
    """
    if shipped:
        return "came with the plugin"
    parts = []
    if "format" in source:
        parts.append(f"imported from {source['format']}")
    if "trained_with" in source:
        began = source.get("began_with")
        made = f"trained from {began}" if began else "trained from scratch"
        parts.append(f"{made} with this plugin")
    if "fetched" in source:
        parts.append(f"fetched from {_host(str(source['fetched']))}")
    return ", ".join(parts) or "added from a file"


def origin_word(source: Mapping[str, Any], *, shipped: bool = False) -> str:
    """Say where a model comes from in one word, as for a narrow column."""
    if shipped:
        return "plugin"
    if "format" in source:
        return str(source["format"]).partition(" ")[0]
    if "trained_with" in source:
        return "trained"
    return _host(str(source["fetched"])) if "fetched" in source else "file"


def _host(address: str) -> str:
    host = urlsplit(address).hostname
    return host.removeprefix("www.") if host else f"DOI {address}"

"""Find the file that a DOI means in its archive: Zenodo, figshare or Dataverse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from napari_sparsessp.errors import InputError

_DOI = re.compile(
    r"(?:doi:\s*|https?://(?:dx\.)?doi\.org/)?(10\.\d{4,9}/[^\s:]+)(?::(.+))?",
    re.IGNORECASE,
)
_TIMEOUT = 30.0  # seconds
_SHOWN = 8


@dataclass(frozen=True)
class ArchiveFile:
    """A file of an archive.

    Attributes
    ----------
    name : str
        As the archive calls it; never to be used as a path.
    url : str
    md5 : str or None
        Checksum that the archive gives.
    """

    name: str
    url: str
    md5: str | None


def is_doi(text: str) -> bool:
    """Tell whether a text is a DOI, with or without a file's name behind it."""
    return _DOI.fullmatch(text.strip()) is not None


def find_by_doi(text: str, suffixes: tuple[str, ...] = ()) -> ArchiveFile:
    """Ask the archive of a DOI for a file; this goes over the network.

    Parameters
    ----------
    text : str
        ``10.5281/zenodo.1234:file.name``, also with ``doi:`` or ``https://doi.org/``
        before it. The file's name may be left out where there is only one.
    suffixes : tuple of str
        Endings that are looked for, in lower case; any if empty.

    Returns
    -------
    ArchiveFile

    Raises
    ------
    InputError
        There is no such DOI, archive or file, or it cannot be reached.
    """
    match = _DOI.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"{text[:80]!r} is no DOI; one looks like 10.5281/zenodo.1234:file.name"
        )
    doi, name = match.group(1), match.group(2)
    try:
        archive = open_archive(doi)
        listed: Any = SimpleNamespace(registry={})
        archive.populate_registry(listed)
        name = _chosen(listed.registry, name, suffixes, doi)
        url = archive.download_url(name)
    except (OSError, ValueError, LookupError, TypeError) as error:
        # pooch and requests raise these; the archive's own words help nobody
        raise InputError(
            f"the archive of DOI {doi} cannot be read ({_reason(error)}); open it in a "
            "browser and give the address of the file"
        ) from error
    kind, _, digits = str(listed.registry[name]).rpartition(":")
    known = kind in ("", "md5") and re.fullmatch(r"[0-9a-f]{32}", digits)
    return ArchiveFile(name, str(url), digits if known else None)


def open_archive(doi: str) -> Any:
    """Find the archive of a DOI with pooch."""
    from pooch.downloaders import doi_to_repository

    return doi_to_repository(doi, timeout=_TIMEOUT)


def _chosen(
    files: dict[str, str], name: str | None, suffixes: tuple[str, ...], doi: str
) -> str:
    """Name of the file that is meant."""
    wanted = [one for one in files if not suffixes or one.lower().endswith(suffixes)]
    if name is None and len(wanted) == 1:
        return wanted[0]
    if name in files:
        return name
    shown = ", ".join(sorted(wanted)[:_SHOWN]) or "none that can be used"
    more = f" and {len(wanted) - _SHOWN} more" if len(wanted) > _SHOWN else ""
    problem = f"has no file {name}" if name else "has several files"
    raise InputError(
        f"DOI {doi} {problem}; write {doi}:NAME with one of them: {shown}{more}"
    )


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        return f"answer {error.response.status_code}"
    if isinstance(error, requests.exceptions.RequestException):
        return "no connection"
    return " ".join(str(error).split())[:120] or type(error).__name__

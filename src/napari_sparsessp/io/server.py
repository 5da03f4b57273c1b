"""Servers of files: which may be asked, how, and what their refusals mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from napari_sparsessp import __version__
from napari_sparsessp.errors import InputError

if TYPE_CHECKING:
    import requests

SCHEMES = ("https",)
"""What an address may begin with; tests allow their own server's ``http``."""

_TIMEOUT = (15.0, 30.0)  # seconds to connect, and of silence
_MOST_REDIRECTS = 8
_BUSY = (429, 500, 502, 503, 504)


def check_address(url: str, origin: str = "") -> None:
    """Refuse what is not safe to fetch.

    Parameters
    ----------
    url : str
    origin : str
        Who sent us there, for the message.

    Raises
    ------
    InputError
        It is no address, or not encrypted.
    """
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
    except ValueError:
        scheme, host = "", None
    if scheme and scheme not in SCHEMES:
        by = f"{origin} sends to an address that" if origin else f"{url[:80]!r}"
        raise InputError(
            f"{by} is not encrypted ({scheme[:10]}); only https is fetched: download "
            "the file with a browser"
        )
    if not host:
        raise InputError(
            f"{url[:80]!r} is no address of a file; copy the whole link, which begins "
            "with https://, or give a DOI"
        )


def ask(
    url: str, headers: Mapping[str, str], look: Callable[[], None] = lambda: None
) -> requests.Response:
    """Ask a server, and whoever it sends us to, for a file.

    Parameters
    ----------
    url : str
    headers : mapping
        Of the request.
    look : callable, optional
        Called before each further server; what it raises ends the search.

    Returns
    -------
    requests.Response
        Its body has yet to come; use it as a context.

    Raises
    ------
    InputError
        An address is not safe, or they send in circles.
    requests.RequestException
        See `reaching`.
    """
    import requests

    check_address(url)
    host = urlsplit(url).hostname or url
    session = requests.Session()
    named = {"User-Agent": f"napari-sparsessp/{__version__}", **headers}
    for _ in range(_MOST_REDIRECTS):
        answer = session.get(
            url,
            headers=named,
            stream=True,
            allow_redirects=False,
            timeout=_TIMEOUT,
            auth=_nobody,
        )
        if not answer.is_redirect:
            return answer
        url = urljoin(url, answer.headers["Location"])
        answer.close()
        check_address(url, host)
        look()
    raise InputError(f"{host} sends in circles; check the address")


@contextmanager
def reaching(host: str) -> Iterator[None]:
    """Say in one line what keeps us from a server.

    Raises
    ------
    InputError
        For whatever requests raises inside.
    """
    import requests

    try:
        yield
    except requests.exceptions.SSLError as error:
        raise InputError(
            f"the certificate of {host} cannot be trusted; download the file with a "
            "browser"
        ) from error
    except requests.exceptions.ProxyError as error:
        raise InputError(
            f"the proxy does not let us reach {host}; check the proxy's settings"
        ) from error
    except requests.exceptions.ConnectTimeout as error:
        raise InputError(f"{host} does not answer; try again later") from error
    except requests.exceptions.ReadTimeout as error:
        raise InputError(
            f"{host} has fallen silent; try again, it goes on from there"
        ) from error
    except (
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
    ) as error:
        raise InputError(
            f"the connection to {host} broke; try again, it goes on from there"
        ) from error
    except requests.exceptions.ConnectionError as error:
        if "timed out" in str(error).lower():  # in the middle of the file
            raise InputError(
                f"{host} has fallen silent; try again, it goes on from there"
            ) from error
        raise InputError(
            f"cannot reach {host}; check the address and the internet connection, or "
            "download the file with a browser"
        ) from error
    except requests.exceptions.RequestException as error:
        raise InputError(
            f"the address is not one that {host} can be asked for; check it"
        ) from error


def refusal(host: str, status: int) -> str:
    """Say what an answer means that is not the file.

    Parameters
    ----------
    host : str
    status : int
        Of HTTP, 400 or more.
    """
    if status in (404, 410):
        return f"{host} has no such file ({status}); check the address"
    if status in (401, 403):
        return (
            f"{host} does not give this file to everyone ({status}); log in with a "
            "browser and download it there"
        )
    if status in _BUSY:
        return f"{host} is busy or out of order ({status}); try again later"
    return f"{host} refuses the file ({status}); check the address"


def _nobody(request: Any) -> Any:
    """Ask without a name: a netrc file holds passwords for other purposes."""
    return request

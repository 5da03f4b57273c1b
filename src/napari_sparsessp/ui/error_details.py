"""What "Copy details" puts on the clipboard: enough to find the fault from afar."""

import platform
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from napari_sparsessp.errors import PredictionError, SparseSSPError

if TYPE_CHECKING:
    from napari_sparsessp.prediction.request import PredictionRequest

_PACKAGES = ("napari-sparsessp", "napari", "torch", "numpy", "qtpy")


def error_details(
    error: BaseException, request: "PredictionRequest | None" = None
) -> str:
    """Write an error with its causes, the request and the versions.

    Parameters
    ----------
    error : BaseException
    request : PredictionRequest, optional

    Returns
    -------
    str
        Plain text of several lines.
    """
    lines = [f"{type(error).__name__}: {error}", ""]
    if request is not None:
        lines += ["Request:", request.model_dump_json(indent=2), ""]
    lines += ["Versions:", *_versions(), ""]
    lines += ["Traceback:", *traceback.format_exception(error)]
    return "\n".join(line.rstrip("\n") for line in lines)


def as_told(error: Exception, what: str) -> SparseSSPError:
    """Give an error that can be shown: ours as it is, a bug with what to do about it.

    Parameters
    ----------
    error : Exception
    what : str
        What it stopped, such as "the prediction".
    """
    if isinstance(error, SparseSSPError):
        return error
    text = " ".join(str(error).split()) or type(error).__name__
    told = PredictionError(
        f"an unexpected error stopped {what}: {text[:300]}; "
        "copy the details and report it"
    )
    told.__cause__ = error
    return told


def _versions() -> list[str]:
    found = [f"Python {sys.version.split()[0]} on {platform.platform()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return found

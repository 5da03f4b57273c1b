"""What "Copy details" puts on the clipboard: enough to find the fault from afar."""

import platform
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

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


def _versions() -> list[str]:
    found = [f"Python {sys.version.split()[0]} on {platform.platform()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return found

"""The command, or the file for ``--request``, that does what a request asks for."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.request import PredictionRequest

_FLAGS = ("simulate_sparse", "mask_invalid", "planes_downwards", "tta", "uncertainty")
_ROWS = ("voxel_size", "tile", "normalisation")


def command_of(request: PredictionRequest, out: str | Path) -> list[str]:
    """Return the words of ``sparsessp predict …`` for a request, without defaults.

    InputError: a field has no option; `request_text` has all of them.
    """
    fields = fields_set(request)
    # A name that begins with a dash would be taken for an option.
    words = ["sparsessp", "predict", _no_option(fields.pop("input", ""))]
    for name, value in fields.items():
        option = "--" + name.replace("_", "-")
        if name in _FLAGS:
            words.append(option)
        elif name in _ROWS:
            words.append(f"{option}={','.join(map(_number, value))}")
        elif name == "structures":
            words += [option, ",".join(value)]
        elif name == "truth":
            for structure, source in value.items():
                words += [option, f"{structure}={source}"]
        elif name == "phase":
            raise InputError(
                "the phase of a request has no option on the command line; save the "
                "request and run it with --request"
            )
        else:
            words.append(f"{option}={_number(value)}")
    return [*words, "--out", _no_option(str(out))]


def fields_set(request: PredictionRequest) -> dict[str, Any]:
    """Give the fields of a request that are not as they are by default."""
    return request.model_dump(mode="json", exclude_defaults=True)


def shell_text(words: list[str], platform: str = sys.platform) -> str:
    """Write a command as it is typed into the system's shell."""
    if platform == "win32":
        return subprocess.list2cmdline(words)
    return shlex.join(words)


def request_text(request: PredictionRequest) -> str:
    """Write a request as YAML for ``sparsessp predict --request FILE --out …``."""
    import yaml

    # safe_dump has no tuples; JSON mode has made lists of them
    body = yaml.safe_dump(fields_set(request), sort_keys=False, allow_unicode=True)
    return f"# sparsessp predict --request THIS_FILE --out prediction.ome.zarr\n{body}"


def _number(value: Any) -> str:
    """Write a number so that reading gives the very same one."""
    return repr(value) if isinstance(value, float) else str(value)


def _no_option(path: str) -> str:
    return f"./{path}" if path.startswith("-") else path

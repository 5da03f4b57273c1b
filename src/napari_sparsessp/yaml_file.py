"""What people write for us in YAML: requests and training configs."""

from pathlib import Path
from typing import Any

from napari_sparsessp.errors import InputError

LARGEST = 1_000_000
"""Bytes. Such a file is a page of text; anything larger is another file."""


def read_yaml(path: Path, what: str) -> Any:
    """Read a small YAML (or JSON) file; nothing in it is executed.

    Parameters
    ----------
    path : Path
    what : str
        What it should be, for the message, for example ``"request"``.

    Returns
    -------
    object
        Whatever is in it; nobody has checked it yet.

    Raises
    ------
    InputError
        The file is missing, too large or no YAML.
    """
    import yaml

    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} is too large for a {what}; check the path")
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"cannot read {what} {path}: {error.strerror}; check the path"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where is not None else ""
        raise InputError(f"{what} {path} is not valid YAML{line}; mend it") from error

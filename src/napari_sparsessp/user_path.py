"""Paths as people write them."""

from pathlib import Path

from napari_sparsessp.errors import InputError


def user_path(path: str | Path) -> Path:
    """Resolve ``~``.

    Raises
    ------
    InputError
        There is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"{str(path)[:80]} names the home folder of nobody on this computer; write "
            "the whole path"
        ) from error

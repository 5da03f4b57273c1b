"""What people write for us in YAML: requests and training configs."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_sparsessp.errors import InputError

LARGEST = 1_000_000
"""Bytes. Such a file is a page of text; anything larger is another file."""

MOST_VALUES = 100_000
"""Once every alias is replaced by what it stands for: a few lines can make 10⁹."""


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
        The file is missing, too large or no YAML, has a key twice, or aliases that
        multiply.
    """
    import yaml

    try:
        return parse_yaml(_text(path, what))
    except OSError as error:
        raise InputError(
            f"cannot read {what} {str(path)[:200]}: {error.strerror}; check the path"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where is not None else ""
        raise InputError(f"{what} {path} is not valid YAML{line}; mend it") from error
    except _Odd as error:
        raise InputError(f"{what} {path} {error}; mend it") from error


def parse_yaml(text: str) -> Any:
    """Make values of YAML text, as `read_yaml` does.

    Raises
    ------
    ValueError or yaml.YAMLError
        It is no YAML.
    """
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError) as error:
        # PyYAML meets 1:2:3_ or an unhashable key with whatever it stumbles over.
        raise ValueError("a value that cannot be made") from error
    finally:
        loader.dispose()


class _Odd(Exception):
    """YAML that means more or less than it should."""


def _text(path: Path, what: str) -> str:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{what} {path} is a folder; name the file in it")
    if not stat.S_ISREG(status.st_mode):  # its end may never come
        raise InputError(f"{what} {path} is a pipe or a device; name a file")
    if status.st_size > LARGEST:
        raise InputError(f"{path} is too large for a {what}; check the path")
    return path.read_text(encoding="utf-8")


def _count(node: Any, known: dict[int, int]) -> int:
    """Count the values of a node with all aliases replaced, and find keys twice."""
    if id(node) in known:
        if not known[id(node)]:
            raise _Odd("contains itself")
        return known[id(node)]
    known[id(node)] = 0
    total = 1 + sum(_count(child, known) for child in _children(node))
    if total > MOST_VALUES:
        raise _Odd(f"has more than {MOST_VALUES} values")
    known[id(node)] = total
    return total


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node.value, str):
        return
    seen = set()
    for child in node.value:
        if not isinstance(child, tuple):
            yield child
            continue
        key = child[0]
        if isinstance(key.value, str):
            if key.value in seen and key.value != "<<":
                raise _Odd(f"has {key.value[:80]!r} twice")
            seen.add(key.value)
        yield from child

"""Where hostile things are laid out and handed to the command line.

A `Case` is a row of docs/generated/bad-inputs.md: what is given, and a pattern of what
is said. The tests run it, and tools/bad_inputs.py writes the page from the same table.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from images import a_stack, write_stack
from thin import save_random, thin_network

STACK = a_stack(4, 24)
"""Camera counts, ZYX, that every readable row holds in its own way."""

MARK = "sparsessp: error: "


@dataclass(frozen=True, eq=False)
class Desk:
    """An empty folder, and a small model outside of it."""

    folder: Path
    model: Path

    @property
    def out(self) -> Path:
        return self.folder / "out.ome.tif"

    def path(self, name: str) -> Path:
        return self.folder / name

    def good(self, name: str = "stack.ome.tif") -> Path:
        """A stack with nothing wrong."""
        return write_stack(self.path(name), STACK)

    def tiff(self, array: np.ndarray, name: str = "stack.tif", **options: Any) -> Path:
        """A TIFF as tifffile writes it."""
        options = {"photometric": "minisblack", **options}
        tifffile.imwrite(self.path(name), array, **options)
        return self.path(name)

    def text(self, text: str | bytes, name: str) -> Path:
        content = text if isinstance(text, bytes) else text.encode()
        self.path(name).write_bytes(content)
        return self.path(name)

    def predict(self, image: Any, *options: Any) -> list[Any]:
        """Arguments that predict on one CPU in fp32 with the small model."""
        fixed = ["--model", self.model, "--out", self.out, "--device", "cpu"]
        return ["predict", *fixed, "--precision", "fp32", *options, "--", image]


@dataclass(frozen=True, eq=False)
class Case:
    """One row."""

    given: str  # what a person or a stranger's file does, in words
    # lays it out on a desk and gives the arguments of ``sparsessp``
    make: Callable[[Desk], Sequence[Any]]
    said: str  # pattern of the line that must come; of warnings where it is accepted
    accepted: bool = False  # it must be predicted, as the plain stack is
    # what an accepted one must be predicted like, to the last digits; None: is finite
    like: np.ndarray | None = field(default_factory=lambda: STACK, repr=False)
    steady: bool = True  # the same words come on every machine: the page holds them

    def __str__(self) -> str:
        return re.sub(r"[^\w.-]+", "-", self.given)


@dataclass(frozen=True)
class Outcome:
    """What the command line did."""

    code: Any
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What was said on standard error but for warnings."""
        return [line for line in self.err.splitlines() if ": warning: " not in line]

    def told(self, *places: Path) -> str:
        """The one line without its mark and without the places of this machine."""
        from napari_sparsessp.models.library import user_folder

        parts = (line.partition(": warning: ")[2] for line in self.err.splitlines())
        warned = "; ".join(part for part in parts if part)
        said = self.lines[0].removeprefix(MARK) if self.code else warned
        said = said.replace(str(user_folder()), "the models' folder")
        for place in places:
            for start in (place.resolve(), place):
                said = said.replace(f"{start}{os.sep}", "")
            said = said.replace(str(place), "FOLDER")
        return said


def run(arguments: Sequence[Any]) -> Outcome:
    """Run ``sparsessp --quiet`` in this process."""
    from napari_sparsessp.cli.main import app_main

    out, err = io.StringIO(), io.StringIO()
    code: Any = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            first, *rest = [str(argument) for argument in arguments]
            quiet = ["--quiet"] if first == "predict" else []
            app_main([first, *quiet, *rest])
        except SystemExit as end:
            code = end.code
    return Outcome(code, out.getvalue(), err.getvalue())


def everything(folder: Path) -> set[tuple[str, int]]:
    """Every name below a folder with its size; links are not followed."""
    found = set()
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            size = path.lstat().st_size if name in files else 0
            found.add((str(path.relative_to(folder)), size))
    return found


@contextlib.contextmanager
def little_memory(room: int = 3 * 2**30) -> Iterator[None]:
    """Let this process grow by `room` bytes and no more, where there is a limit."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import resource

    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf(
        "SC_PAGE_SIZE"
    )
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def make_model(path: Path, **changes: Any) -> Path:
    """A model of two structures with random weights, on the stack's grid."""
    names = ("dna", "golgi_apparatus")
    fields = {"id": "small", "name": "Small", "structures": names, "patch": (4, 24, 24)}
    return save_random(path, thin_network(depth=4), **{**fields, **changes})

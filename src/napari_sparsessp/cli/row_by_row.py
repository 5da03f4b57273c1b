"""Measurements that take long: every row is told and kept as soon as it is there."""

import json as json_module
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

from napari_sparsessp.cli.console import Console, clock
from napari_sparsessp.cli.report_file import write_report
from napari_sparsessp.tasks import Progress, TimeLeft


def row_teller(console: Console) -> Progress:
    """Return a callback that shows the row that is measured, and the time left."""
    time_left = TimeLeft()

    def show(done: float, total: float | None = None, what: str = "") -> None:
        left = time_left(done / total) if total else None
        console.progress(what if left is None else f"{what}; about {clock(left)} left")

    return show


def follow_rows(
    console: Console,
    results: Generator[dict[str, Any]],
    json: Path | None,
    text: Callable[[dict[str, Any]], str],
    unfinished: Callable[[dict[str, Any]], str],
) -> None:
    """Write JSON after each row; print the table at the end, and after Ctrl-C.

    Parameters
    ----------
    console : Console
    results : generator of dict
        All rows so far, each time one is added. It is closed at any end.
    json : Path, optional
    text : callable
        Gives the table of such a result.
    unfinished : callable
        Gives what is said of one that was stopped early.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    result: dict[str, Any] = {}
    try:
        with closing(results):
            for result in results:
                if json is not None:
                    write_report(json, json_module.dumps(result, indent=2))
    finally:
        if result:
            console.result(text(result))
            if not result["finished"]:
                console.warning(f"stopped early; {unfinished(result)}")

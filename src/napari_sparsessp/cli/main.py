"""Entry point of ``sparsessp``: an error that a user can correct becomes one line."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import NoReturn

import typer

from napari_sparsessp.cli import benchmark, demo, evaluate, models, predict, train
from napari_sparsessp.cli.console import Console
from napari_sparsessp.cli.options import Group
from napari_sparsessp.errors import SparseSSPError
from napari_sparsessp.tasks import Cancelled

USER_ERROR = 2
INTERRUPTED = 130
"""128 + SIGINT, as shells expect."""

app = typer.Typer(
    name="sparsessp",
    help="Predict fluorescence from sparse transmitted-light z-stacks.",
    cls=Group,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("simulate")(train.simulate)
app.command("sweep")(evaluate.sweep)
app.command("train")(train.train)
app.add_typer(models.app, name="models")
app.add_typer(benchmark.app, name="benchmark")


def app_main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 success, 2 the user's error, 1 a bug."""
    console = Console()
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show R² must not end the run.
        getattr(stream, "reconfigure", dict)(errors="replace")
    _hush_other_packages("--debug" in (sys.argv if arguments is None else arguments))
    try:
        code = _run(console, arguments)
    finally:
        console.close()
    raise SystemExit(code)


def _run(console: Console, arguments: Sequence[str] | None) -> int:
    try:
        code = app(args=arguments, standalone_mode=False, obj=console)
        return code if isinstance(code, int) else 0
    except SparseSSPError as error:
        return _user_error(console, str(error))
    except Cancelled as cancelled:
        console.error(str(cancelled) or "interrupted")
        return INTERRUPTED
    except (KeyboardInterrupt, typer.Abort):
        console.error("interrupted; no unfinished file is left")
        return INTERRUPTED
    except BrokenPipeError:
        # `sparsessp models list | head`: the reader has seen enough. What is still
        # buffered goes nowhere, or the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        # typer's own usage errors share this method and no public base class.
        message = getattr(error, "format_message", None)
        if message is None:
            console.close()
            traceback.print_exc()
            return 1
        return _user_error(console, f"{message()} (see sparsessp --help)")


def _user_error(console: Console, message: str) -> int:
    if console.debug:
        traceback.print_exc()
    console.error(message)
    return USER_ERROR


def _hush_other_packages(debug: bool) -> None:
    """Keep standard error to our own words: readers warn about every odd tag."""
    if debug:
        logging.basicConfig(level=logging.INFO)
        return
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())

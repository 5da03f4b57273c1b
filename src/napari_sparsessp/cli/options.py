"""Options that commands share, and the request that they make."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option
from typer.core import TyperGroup

from napari_sparsessp.cli.console import Console
from napari_sparsessp.errors import InputError, invalid_field
from napari_sparsessp.files import read_yaml
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.structures import match_channel, structure_id
from napari_sparsessp.version import __version__

if TYPE_CHECKING:
    from napari_sparsessp.volume import Volume


def console_of(context: typer.Context) -> Console:
    """Return the console of this run."""
    return context.ensure_object(Console)


class Group(TyperGroup):
    """Commands that all take ``--quiet``, ``--debug`` and ``--version``.

    Without a command the help is printed.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes | {"invoke_without_command": True})
        for command in (self, *self.commands.values()):
            if all(option.name != "quiet" for option in command.params):
                command.params += _common_options()

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is named; without one print the help."""
        result = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            print(ctx.get_help())
        return result


def _common_options() -> list[Any]:
    """Return new options; typer makes them, whichever click it brings."""
    template = typer.Typer(add_completion=False)
    template.command()(_take_common_options)
    return [
        option
        for option in typer.main.get_command(template).params
        if option.name != "help"
    ]


def _be_quiet(context: typer.Context, value: bool) -> None:
    console_of(context).quiet |= value


def _debug(context: typer.Context, value: bool) -> None:
    console_of(context).debug |= value


def _show_version(value: bool) -> None:
    if value:
        print(f"sparsessp {__version__}")
        raise typer.Exit


def _take_common_options(
    quiet: Annotated[
        bool,
        Option(
            *("--quiet", "-q"), callback=_be_quiet, is_eager=True, expose_value=False,
            help="Show no progress.",
        ),
    ] = False,
    debug: Annotated[
        bool,
        Option(
            "--debug", callback=_debug, is_eager=True, expose_value=False,
            help="Show tracebacks of errors.",
        ),
    ] = False,
    version: Annotated[
        bool,
        Option(
            "--version", callback=_show_version, is_eager=True, expose_value=False,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:  # fmt: skip
    """Declare the options of every command."""


# What predict and sweep have in common.
Stack = Annotated[
    list[str] | None,
    Argument(
        help="A z-stack: OME-TIFF, TIFF, OME-Zarr, ND2; a folder of planes, or their "
        "pattern in quotes.",
        metavar="INPUT",
    ),
]
Channel = Annotated[
    str | None, Option(help="Name or index of the transmitted-light channel.")
]
Scene = Annotated[
    str | None,
    Option(help="Name or index of the scene; of a plate row/column/field: A/1/0."),
]
Axes = Annotated[
    str | None,
    Option(
        help="Letters of the file's axes in their stored order, where it calls planes "
        "time points or channels: ZYX.",
        metavar="LETTERS",
    ),
]
ModelName = Annotated[str, Option(help="Id or path of a model.")]
Topology = Annotated[
    str | None, Option(help="Take the model of this topology: 3d, 2d, 2to3d, 3to2d.")
]
VoxelSize = Annotated[
    str | None,
    Option(help="Z,Y,X in µm, instead of what the file says.", metavar="Z,Y,X"),
]
Truth = Annotated[
    list[str] | None,
    Option(help="Ground truth to score against.", metavar="STRUCTURE=FILE[:CHANNEL]"),
]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:N or mps.")]
Precision = Annotated[str, Option(help="auto, fp32, bf16 or fp16.")]
TileSize = Annotated[
    str | None, Option(help="Largest tile in voxels.", metavar="Z,Y,X")
]
Overlap = Annotated[
    float | None, Option(help="Share of a z window that the next one repeats.")
]
Tta = Annotated[
    bool,
    Option("--tta", help="Average over flips and quarter turns; eight times slower."),
]
Uncertainty = Annotated[
    bool,
    Option(
        "--uncertainty",
        help="Add the expected error of each structure as a channel; eight times "
        "slower, and no slower with --tta.",
    ),
]
MemoryLimit = Annotated[
    str | None,
    Option(
        help="Most memory that the program may take, 512MB or 4GB; a part of what is "
        "free where left out.",
        metavar="SIZE",
    ),
]
Normalisation = Annotated[
    str | None,
    Option(
        help="Mean and deviation of the input, in its own units, instead of those "
        "that are found.",
        metavar="MEAN,STD",
    ),
]
MaskInvalid = Annotated[
    bool, Option("--mask-invalid", help="Predict around NaN and infinite values.")
]
Reconstruct = Annotated[
    str | None,
    Option(
        help="phase: make phase from the bright-field first, for a model that learned "
        "from it. Needs the four that follow.",
        metavar="phase",
    ),
]
ObjectiveNa = Annotated[
    float | None, Option("--na", help="Numerical aperture of the objective.")
]
CondenserNa = Annotated[
    float | None, Option(help="Of the condenser, as its diaphragm was set.")
]
Wavelength = Annotated[
    float | None, Option(help="Of the light, in µm: 0.55.", metavar="UM")
]
Index = Annotated[
    float | None, Option(help="Refractive index: air 1, water 1.33, oil 1.515.")
]
PlanesDownwards = Annotated[
    bool,
    Option("--planes-downwards", help="Plane 0 is the farthest from the objective."),
]
Regularisation = Annotated[float, Option(help="Strength for phase; more is smoother.")]

# What the benchmarks have in common.
JsonFile = Annotated[
    Path | None, Option("--json", help="Write the result as JSON, as it comes.")
]
OverwriteJson = Annotated[
    bool, Option("--overwrite", help="Replace an existing JSON file.")
]


def parse_sizes(text: str, option: str, kind: type) -> tuple[Any, Any, Any]:
    """Read ``Z,Y,X``: three positive numbers."""
    try:
        values = tuple(kind(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(0 < value < float("inf") for value in values):
        raise typer.BadParameter(
            f"{option} {text!r} is not three positive numbers; write Z,Y,X, for "
            f"example {'0.29,0.29,0.29' if kind is float else '32,256,256'}"
        )
    return values


def _mean_and_std(text: str) -> tuple[float, float]:
    """Read ``MEAN,STD``: two numbers, the second above 0."""
    try:
        mean, std = (float(part) for part in text.split(","))
    except ValueError:
        mean, std = math.nan, math.nan
    if not (math.isfinite(mean) and 0 < std < math.inf):
        raise typer.BadParameter(
            f"--normalisation {text!r} is not a mean and a deviation above 0; write "
            "MEAN,STD, for example 20000,1500"
        )
    return mean, std


def parse_ratios(text: str) -> tuple[int, ...]:
    """Read ``1,2,4,8``."""
    try:
        values = tuple(int(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or min(values) < 1:
        raise InputError(
            f"--ratios {text!r} cannot be used; write whole numbers of at least 1, "
            "for example 1,2,4,8"
        )
    return values


def name_or_index(text: str | None) -> str | int | None:
    """Take digits for an index and anything else for a name."""
    return int(text) if text is not None and text.isdecimal() else text


def request_of(context: typer.Context, saved: Path | None = None) -> PredictionRequest:
    """Make the request of a command's options."""
    fields = read_request(saved) if saved else {}
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        written = source is not None and source.name != "DEFAULT"
        if written and name in PredictionRequest.model_fields:
            fields[name] = _field(name, value)
    return make_request(fields)


def _field(name: str, value: Any) -> Any:
    """Turn the text of an option into the value of the request's field."""
    if name == "input":
        return _single_input(value)
    if name in ("channel", "scene"):
        return name_or_index(value)
    if name == "structures" and value != "all":
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if name == "voxel_size":
        return parse_sizes(value, "--voxel-size", float)
    if name == "tile":
        return parse_sizes(value, "--tile", int)
    if name == "normalisation":
        return _mean_and_std(value)
    if name == "truth":
        return parse_truth(value)
    return value


def _single_input(paths: Sequence[str]) -> str:
    if len(paths) > 1:  # a pattern that the shell has spelt out, or a slip
        first = Path(paths[0])
        raise InputError(
            f"there are {len(paths)} inputs ({first.name}, {Path(paths[1]).name}, …); "
            "give one. The planes of one stack are read from their folder, or by a "
            f'pattern in quotes: "{first.with_name("*" + first.suffix)}"'
        )
    return paths[0]


def read_request(path: Path) -> dict[str, Any]:
    """Read the fields of a saved request, YAML or JSON, without checking them."""
    fields = read_yaml(path, "request")
    if not isinstance(fields, dict) or not all(isinstance(key, str) for key in fields):
        raise InputError(f"request {path} is not a list of `field: value` lines")
    return fields


def make_request(fields: dict[str, Any]) -> PredictionRequest:
    """Check the fields and make the request; an error names the option."""
    from pydantic import ValidationError

    try:
        return PredictionRequest.model_validate(fields)
    except ValidationError as error:
        first, reason = error.errors()[0], invalid_field(error)[1]
        field = str(first["loc"][0]) if first["loc"] else "request"
        field = " ".join(field.split())[:80] or repr(field)
        if first["type"] == "extra_forbidden":
            names = ", ".join(PredictionRequest.model_fields)
            raise InputError(
                f"a request has no field {field}; it has {names}"
            ) from error
        option = "--" + field.replace("_", "-")
        raise InputError(
            f"{option} {repr(fields.get(field))[:200]} cannot be used: "
            f"{reason[0].lower()}{reason[1:]}"
        ) from error


def parse_truth(options: Iterable[str]) -> dict[str, str]:
    """Split ``STRUCTURE=FILE[:CHANNEL]`` into structure and source."""
    sources: dict[str, str] = {}
    for option in options:
        structure, equals, source = option.partition("=")
        if not (structure and equals and source):
            raise InputError(
                f"--truth {option!r} cannot be used; write STRUCTURE=FILE or "
                "STRUCTURE=FILE:CHANNEL, for example dna=cells.ome.tif:1"
            )
        if structure in sources:
            raise InputError(f"--truth names {structure} twice; give one file for it")
        sources[structure] = source
    return sources


def load_truth(
    sources: dict[str, str], structures: Sequence[str]
) -> "dict[str, Volume]":
    """Open the truth of each structure; no pixel is read yet."""
    return {
        model_structure(name, structures): _open_truth(name, source)
        for name, source in sources.items()
    }


def model_structure(name: str, structures: Sequence[str]) -> str:
    """Return the model's id for any name of a structure."""
    for id_ in (name, structure_id(name)):
        if id_ in structures:
            return id_
    raise InputError(
        f"the model predicts no structure {name!r}; it predicts: "
        f"{', '.join(structures)}"
    )


def _open_truth(structure: str, source: str) -> "Volume":
    from napari_sparsessp.io.reading import load_volume

    path, channel = split_source(source)
    volume = load_volume(path, channel=channel)
    if "C" not in volume.axes:
        return volume
    index = match_channel(structure, volume.channel_names)
    if index is None:
        names = ", ".join(volume.channel_names) or f"0 to {volume.sizes['C'] - 1}"
        raise InputError(
            f"truth {path} has several channels; write "
            f"--truth {structure}={path}:CHANNEL with one of: {names}"
        )
    return volume.channel(index)


def split_source(source: str) -> tuple[str, str | int | None]:
    """Split ``FILE[:CHANNEL]``; a drive letter or an existing file is no channel."""
    path, colon, channel = source.rpartition(":")
    if not colon or len(path) < 2 or Path(source).exists():
        return source, None
    return path, name_or_index(channel)

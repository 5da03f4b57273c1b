"""What a saved layer was: where its voxels are, how it looked, how it came about.

Files come from anywhere: everything in them is checked here before it is believed.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from napari_sparsessp.prediction.request import Finite, PredictionRequest

Text = Annotated[str, Field(max_length=500)]
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=0)]
Row = tuple[Finite, ...]
Colour = tuple[Share, Share, Share, Share]

MOST_LAYERS = 1000


class About(BaseModel):
    """What stands on one of our layers, without the links to other layers.

    What other versions add is kept as it is, if JSON can hold it.
    """

    # Docks write more on their layers than a reader has to know.
    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    schema_version: Literal[1] = 1
    role: Annotated[str, Field(max_length=40)]
    structure: Text
    channel: Text | None = None
    source: Text = ""
    truth: Text | None = None
    state: Annotated[str, Field(max_length=40)] = "done"
    request: PredictionRequest | None = None
    ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    measured_planes: tuple[Number, ...] = ()
    unfamiliar: tuple[str, ...] = ()
    scores: dict[str, JsonValue] | None = None
    provenance: dict[str, JsonValue] | None = None


class LayerRecord(BaseModel):
    """One image layer of a viewer, all but its voxels.

    Attributes
    ----------
    name : str
    axes : str
        One letter out of TCZYX for each of the layer's dimensions, in its own order.
    axis_labels, units : tuple of str
        As napari has them.
    scale, translate : tuple of float
    rotate, affine : tuple of tuple of float, optional
    shear : tuple of float, optional
    image : int
        Which image of the folder has the voxels.
    channel, channels : int
        Its first channel there, and how many there are.
    multiscale : bool
        The layer showed all levels.
    colormap : str
        Name; `colours` has what it consists of.
    colours : tuple of (r, g, b, a)
    stops : tuple of float
        Where between 0 and 1 each of them stands; evenly where it is empty.
    stepped : bool
        Colours do not run into each other.
    contrast_limits : (low, high)
    gamma, opacity : float
    blending, rendering : str
    visible : bool
    about : About, optional
        For our own layers.
    source, truth, of : int, optional
        Numbers of the layers that one of ours was predicted from, is compared with,
        and tells the error of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text
    axes: Annotated[str, Field(pattern="^[TCZYX]{2,5}$")]
    axis_labels: tuple[Text, ...]
    units: tuple[Text, ...]
    scale: Row
    translate: Row
    rotate: tuple[Row, ...] | None = None
    shear: Row | None = None
    affine: tuple[Row, ...] | None = None
    image: Number = 0
    channel: Number = 0
    channels: Annotated[int, Field(ge=1)] = 1
    multiscale: bool = False
    colormap: Text = "gray"
    colours: Annotated[tuple[Colour, ...], Field(max_length=4096)] = ()
    stops: Annotated[tuple[Share, ...], Field(max_length=4097)] = ()
    stepped: bool = False
    contrast_limits: tuple[Finite, Finite]
    gamma: Annotated[float, Field(gt=0, le=100)] = 1.0
    opacity: Share = 1.0
    blending: Text = "translucent_no_depth"
    rendering: Text = "mip"
    visible: bool = True
    about: About | None = None
    source: Number | None = None
    truth: Number | None = None
    of: Number | None = None

    @model_validator(mode="after")
    def _fits(self) -> "LayerRecord":
        letters, count = set(self.axes), len(self.axes)
        rows = (self.axis_labels, self.units, self.scale, self.translate)
        if len(letters) != count or not {"Y", "X"} <= letters:
            raise ValueError(f"axes {self.axes} are not those of an image")
        if any(len(row) != count for row in rows):
            raise ValueError(f"{self.axes} needs {count} scales, units and positions")
        if 0 in self.scale or not self.contrast_limits[0] < self.contrast_limits[1]:
            raise ValueError("a scale of 0, or limits that limit nothing")
        if "C" not in letters and self.channels != 1:
            raise ValueError(f"axes {self.axes} cannot have {self.channels} channels")
        for matrix, size in ((self.rotate, count), (self.affine, count + 1)):
            if matrix and {len(matrix), *map(len, matrix)} != {size}:
                raise ValueError("a turn of the wrong size")
        if self.shear is not None and len(self.shear) != count * (count - 1) // 2:
            raise ValueError("a shear of the wrong size")
        return self


class SavedLayers(BaseModel):
    """The layers of one folder, in the viewer's order.

    Attributes
    ----------
    schema_version : int
        ``schema`` in JSON.
    package : str
        Version of this package that wrote them.
    layers : tuple of LayerRecord
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    package: Text = ""
    layers: Annotated[
        tuple[LayerRecord, ...], Field(min_length=1, max_length=MOST_LAYERS)
    ]

    @model_validator(mode="after")
    def _links_lead_somewhere(self) -> "SavedLayers":
        for number, one in enumerate(self.layers):
            for link in (one.source, one.truth, one.of):
                if link is not None and (link >= len(self.layers) or link == number):
                    raise ValueError(f"{one.name} is linked to layer {link}")
        return self


def first_fault(error: ValidationError) -> str:
    """Say in a few words what is wrong with a record."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}"[:200] if where else message[:200]


def json_safe(value: Any) -> Any:
    """Give a value as JSON can hold it; numbers that are none become None."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return json_safe(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [json_safe(one) for one in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value if value is None else str(value)

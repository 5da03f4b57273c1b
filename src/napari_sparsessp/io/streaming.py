"""Stream a prediction into an image on disk, and resume it after any accident.

It is made in a hidden folder beside the output. Chunks of the image end where columns
of tiles end, so that each is written once, in one step, and a chunk that exists is
done: that is all that resuming a run, after whatever end, has to know.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_sparsessp.errors import OutputError
from napari_sparsessp.files import PartialOutput, atomic_write, remove
from napari_sparsessp.io.ome import (
    CHUNK,
    OmeMetadata,
    create_levels,
    fill_levels,
    image_attributes,
    write_ome_tiff,
)
from napari_sparsessp.io.tiff_reading import plane_files
from napari_sparsessp.io.writing import check_output, disk_error, kind_of
from napari_sparsessp.io.zarr_reading import METADATA
from napari_sparsessp.prediction.blending import StreamBlend
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.report import Scaling
from napari_sparsessp.prediction.tiling import Span, TileSize
from napari_sparsessp.prediction.writer import Writer
from napari_sparsessp.version import __version__

PLANES = 16
"""Planes of a chunk, at most."""

SLAB = 2**23
"""Values, about, of the whole planes that are in memory while a TIFF is written."""

SMALLEST_SIDE = 64
"""Pixels of a chunk; smaller ones make more files than voxels are worth."""

FORMAT = 3
"""Version of partial outputs; others are not resumed."""

_NOT_THE_NUMBERS = {
    "input", "truth", "model", "topology", "structures", "device", "precision",
    "memory_limit",
}  # fmt: skip
"""Fields of a request that change no voxel, or that the header has more exactly."""

_WORDS = {
    "format": "version of napari-sparsessp",
    "package": "version of napari-sparsessp",
    "image": "kind of output",
    "channels": "structures",
}


class PredictionWriter(Writer):
    """Stream a prediction into one image; a context, at whose end others may write.

    OutputError: as `check_output`; another process writes this output; or something
    unfinished is there and neither `resume` nor `overwrite` says what to do with it.

    Parameters
    ----------
    overwrite
        Whether an existing result may be replaced, and an unfinished one forgotten;
        the result stays until the new one is complete.
    resume
        Resume an unfinished result of this name, where there is one.
    ngff
        ``0.5`` or ``0.4``: version of the OME-Zarr.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        resume: bool = False,
        ngff: str = "0.5",
    ) -> None:
        super().__init__()
        self.path = check_output(path, overwrite)
        self._ngff, self._is_zarr = ngff, kind_of(self.path) == "zarr"
        self._place = PartialOutput(self.path)
        self._folder = self._place.folder
        self._root = self._folder / "image.zarr"
        self._levels: list[Any] = []
        self._header: dict[str, Any] | None = None
        self._members: dict[int, _MemberWriter] = {}
        self._place.lock()
        try:
            with self._writing():
                if self._place.restore():
                    check_output(path, overwrite)
                self._find_unfinished(resume, overwrite)
        except BaseException:
            self._place.unlock()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Keep what can be resumed, and let others write."""
        self.close()

    @property
    def tile_size(self) -> Sequence[TileSize]:
        """Tiling of the run that is resumed, of each member; empty for a new one."""
        try:
            return [_size_of(fields) for fields in (self._header or {})["tile_sizes"]]
        except (KeyError, TypeError, ValueError):
            return ()

    @property
    def keeps_something(self) -> bool:
        """Whether there is something for a later run to resume."""
        return _has_voxels(self._folder)

    def begin(self, plan: Plan, *, model: str, device: str, precision: str) -> None:
        """Make the image, or open the unfinished one if it is of the same run."""
        import zarr

        kind = f"zarr {self._ngff}" if self._is_zarr else "tiff"
        header = _header_of(
            plan, model=model, device=device, precision=precision, image=kind
        )
        resumed = self._header is not None
        differs = _difference(self._header, header) if self._header else ""
        if differs:
            raise OutputError(
                f"the unfinished {self.path.name} is of another run, {differs} is "
                "different; ask for the same, or start again with --overwrite"
            )
        self._plan, self._header = plan, header
        with self._writing():
            if resumed:
                for left_over in self._folder.rglob("*.partial"):
                    left_over.unlink()  # what a killed process was writing
                group = zarr.open_group(self._root, mode="r+")
                self._levels = [group[str(k)] for k in range(len(list(group)))]
                self.done = self.kept()
                return
            self._place.clear()
            self._folder.mkdir()
            self._note()
            new = not self._is_zarr or self._ngff == "0.5"
            group = zarr.create_group(self._root, zarr_format=3 if new else 2)
            self._levels = create_levels(
                group,
                plan.output_shape,
                plan.output_axes,
                chunk_for(plan, whole_planes=not self._is_zarr),
                coarser=self._is_zarr,
            )

    def kept(self) -> int:
        """Count the tiles that a later run need not predict."""
        if self._plan.members:
            return sum(map(_kept, map(self.member, range(len(self._plan.members)))))
        return _kept(self)

    def note_scaling(self, slot: int, scaling: Scaling) -> None:
        """Remember the scaling of a time point."""
        super().note_scaling(slot, scaling)
        with self._writing():
            self._note()

    def blend(self, slot: int) -> StreamBlend:
        """Return what blends what is left of a time point into the image."""
        return StreamBlend(self._plan, self.output(slot))

    def output(self, slot: int) -> _TimePoint:
        """Return the finished voxels of a time point, read where they are indexed."""
        return _TimePoint(self, self._plan, slot)

    def member(self, number: int) -> _MemberWriter:
        """Return the writer of a member into the image."""
        if number not in self._members:
            self._members[number] = _MemberWriter(self, self._plan, number)
        return self._members[number]

    def finish(self, provenance: Mapping[str, Any] | None) -> Path:
        """Make coarser levels or the TIFF, add the provenance, and give it its name."""
        import zarr

        with self._writing():
            image, name = self._root, self.path.name.split(".")[0]
            metadata = OmeMetadata.of(self._plan, provenance, name)
            if self._is_zarr:
                fill_levels(self._levels)
                group = zarr.open_group(self._root, mode="r+")
                attributes = image_attributes(self._levels, metadata, self._ngff)
                group.attrs.update(attributes)
            else:
                image = self._folder / "image.tif"
                write_ome_tiff(image, self._levels[0], metadata)
            self._levels = []
            self._place.commit(image)
        return self.path

    def close(self) -> None:
        """Keep what a later run can resume, remove the rest, let others write."""
        try:
            self._levels = []
            if self._plan is not None and not self.keeps_something:
                self._place.clear()
        finally:
            self._place.unlock()

    def _note(self) -> None:
        """Write down what the run is, and how its input is scaled."""
        scalings = {
            k: scale.model_dump(mode="json") for k, scale in self._scalings.items()
        }
        content = {"header": self._header, "scalings": scalings}
        with atomic_write(self._folder / "run.json", "the state of the run") as part:
            part.write_text(json.dumps(content), encoding="utf-8")

    def _find_unfinished(self, resume: bool, overwrite: bool) -> None:
        """Read what an earlier run has left, if that is to be resumed."""
        try:
            content = json.loads((self._folder / "run.json").read_text("utf-8"))
            header, scalings = dict(content["header"]), dict(content["scalings"])
            noted = {int(k): Scaling.model_validate(v) for k, v in scalings.items()}
        except (OSError, ValueError, KeyError, TypeError):
            return
        if not self.keeps_something:
            return
        if resume:
            self._header, self._scalings = header, noted
        elif not overwrite:
            raise OutputError(
                f"an unfinished {self.path.name} is there: add --resume to go on with "
                "it, or --overwrite to start again"
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what a disk does into one line."""
        try:
            yield
        except (OSError, OutputError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError):
                raise
            kept = self.keeps_something
            raise disk_error(self._place.place, cause, kept=kept) from error


class _MemberWriter(Writer):
    """Stream the structures of a bundle's member into the bundle's image."""

    def __init__(self, whole: PredictionWriter, plan: Plan, number: int) -> None:
        super().__init__()
        self._whole, self._number, self._count = whole, number, len(plan.members)
        self._plan = plan.members[number]
        self._rows = plan.rows_of(self._plan)
        self.done = _kept(self)

    def begin(self, plan: Plan, *, model: str, device: str, precision: str) -> None:
        self._plan = plan

    def kept(self) -> int:
        return _kept(self)

    def _place(self, slot: int) -> int:
        """Return the number of a time point of this member among those of all."""
        return slot * self._count + self._number

    def scaling(self, slot: int) -> Scaling | None:
        return self._whole.scaling(self._place(slot))

    def note_scaling(self, slot: int, scaling: Scaling) -> None:
        self._whole.note_scaling(self._place(slot), scaling)

    def blend(self, slot: int) -> StreamBlend:
        return StreamBlend(self._plan, self.output(slot))

    def output(self, slot: int) -> _TimePoint:
        place = self._place(slot)
        return _TimePoint(self._whole, self._plan, slot, self._rows, place)


def _kept(writer: PredictionWriter | _MemberWriter) -> int:
    """Count the tiles of all time points that are in the image."""
    slots = range(len(writer._plan.times or (0,)))
    return sum(writer.blend(slot).done_before for slot in slots)


class _TimePoint:
    """A time point of an image that is being written; see `prediction.blending.Store`.

    Indexing reads finished voxels, (C, D, H, W). Its channels are `rows` of the image,
    all where left out; `place` keeps its columns apart from those of others.
    """

    def __init__(
        self,
        writer: PredictionWriter,
        plan: Plan,
        slot: int,
        rows: Sequence[int] | None = None,
        place: int | None = None,
    ) -> None:
        self._writer, self._plan = writer, plan
        self._rows = range(len(plan.channels)) if rows is None else rows
        self._path = writer._folder / "columns" / str(slot if place is None else place)
        self._array = writer._levels[0]
        self._lead = (slot,) if plan.times else ()
        self.planes = int(self._array.chunks[-3])
        self._columns: Any = None

    def __getitem__(self, index: Any) -> np.ndarray:
        channel, *parts = index if isinstance(index, tuple) else (index,)
        return np.asarray(self._array[(*self._lead, self._rows[channel], *parts)])

    def planes_done(self, column: int) -> int:
        leads = [(*self._lead, row) for row in self._rows]
        spans = self._plan.layout.columns[column].output
        return _planes_there(self._array, self._writer._root / "0", leads, spans)

    def write(
        self, place: tuple[slice, slice, slice, slice], values: np.ndarray
    ) -> None:
        rows, *box = place
        with self._writer._writing():
            for row, channel in zip(self._rows[rows], values, strict=True):
                self._array[(*self._lead, row, *box)] = channel

    def planes_kept(self, column: int) -> int:
        leads = [(column, c) for c in range(len(self._plan.channels))]
        size = self._plan.layout.columns[column].kept_size
        spans = (0, size[0]), (0, size[1])
        return _planes_there(self._kept_array(), self._path, leads, spans)

    def keep(self, column: int, first: int, values: np.ndarray) -> None:
        height, width = values.shape[-2:]
        z = slice(first, first + values.shape[1])
        with self._writer._writing():
            place = (column, slice(None), z, slice(0, height), slice(0, width))
            self._kept_array()[place] = values

    def kept(self, column: int, row: int, z: slice, y: slice, x: slice) -> np.ndarray:
        return np.asarray(self._kept_array()[column, row, z, y, x])

    def forget_kept(self) -> None:
        self._columns = None
        remove(self._path)

    def _kept_array(self) -> Any:
        import zarr

        if self._columns is None:
            plan = self._plan
            sizes = [column.kept_size for column in plan.layout.columns]
            y, x = (max(sides) for sides in zip(*sizes, strict=True))
            depth, planes = plan.model_shape[0], min(self.planes, plan.model_shape[0])
            self._columns = zarr.open_array(
                self._path,
                mode="a",
                shape=(len(sizes), len(plan.channels), depth, y, x),
                chunks=(1, 1, planes, y, x),
                dtype="float32",
                fill_value=0,
                config={"write_empty_chunks": True},
            )
        return self._columns


def chunk_for(plan: Plan, *, whole_planes: bool = False) -> tuple[int, int, int]:
    """Choose (z, y, x) of a chunk that ends where what is written ends."""
    shape, sides = plan.output_shape, []
    for axis in (0, 1):
        ends = [part.layout.columns[0].output[axis][1] for part in plan.parts]
        steps = [end for end in ends if end < shape[-2 + axis]]
        usual = CHUNK[1 + axis]
        sides.append(chunk_side(math.gcd(*steps), usual) if steps else usual)
    room = max(1, CHUNK[0] * CHUNK[1] * CHUNK[2] // (sides[0] * sides[1]))
    if whole_planes:
        room = min(room, max(1, SLAB // (shape[-2] * shape[-1])))
    return min(PLANES, room), sides[0], sides[1]


def chunk_side(step: int, usual: int) -> int:
    """Return a part of a step, whole times: the largest up to what is usual.

    No chunk holds voxels of two columns, or it would be written twice.
    """
    parts = [step // n for n in range(1, step + 1) if step % n == 0]
    best = max(part for part in parts if part <= usual)
    least = min(SMALLEST_SIDE, step)
    return best if best >= least else min(part for part in parts if part >= least)


def _size_of(fields: Mapping[str, Any]) -> TileSize:
    """Read the size of tiles in a header."""
    y, x = fields["core"]
    return TileSize(**{**fields, "core": (int(y), int(x))})


def _has_voxels(folder: Path) -> bool:
    """Whether any chunk is there, of the image or of columns."""
    return any(
        path.is_file() and path.name[0].isdigit() and path.suffix != ".partial"
        for name in ("image.zarr", "columns")
        for path in (folder / name).rglob("*")
    )


def _planes_there(
    array: Any, folder: Path, leads: Sequence[tuple[int, ...]], area: tuple[Span, Span]
) -> int:
    """Count the planes, from the lowest on, whose chunks all exist in a (y, x) area."""
    depth, step, sides = array.shape[-3], array.chunks[-3], array.chunks[-2:]
    places = [
        range(start // side, -(-stop // side))
        for (start, stop), side in zip(area, sides, strict=True)
    ]
    for number in range(-(-depth // step)):
        for lead, y, x in product(leads, places[0], places[1]):
            path = folder / array.metadata.encode_chunk_key((*lead, number, y, x))
            # Of a computer that lost its power, a name may be all that is left.
            if not path.exists() or not path.stat().st_size:
                return int(number * step)
    return int(depth)


def _header_of(
    plan: Plan, *, model: str, device: str, precision: str, image: str
) -> dict[str, Any]:
    """Return all that the voxels depend on, as JSON."""
    fields = plan.request.model_dump(mode="json", exclude=_NOT_THE_NUMBERS)
    header = {
        "format": FORMAT,
        "package": __version__,
        "model": model,
        "input": _fingerprint(plan),
        "channels": list(plan.channels),
        "request": fields,
        "shape": list(plan.output_shape),
        "tile_sizes": [asdict(size) for size in plan.tile_sizes],
        "device": device,
        "precision": precision,
        "image": image,
    }
    # As it will be read again.
    return dict(json.loads(json.dumps(header)))


def _difference(there: dict[str, Any], here: dict[str, Any]) -> str:
    """Name what differs between two runs; "" where nothing does."""
    for name in (*_WORDS, "input", "model"):
        if there.get(name) != here[name]:
            return f"the {_WORDS.get(name, name)}"
    for name in ("device", "precision"):
        if there.get(name) != here[name]:
            return f"the {name} ({there.get(name)} there, {here[name]} now)"
    was, now = there.get("request") or {}, here["request"]
    for name in sorted(now.keys() | was.keys()):
        if was.get(name) != now.get(name):
            return f"{name.replace('_', ' ')} ({was.get(name)} there, {now.get(name)})"
    return "" if there == here else "the size of the result"


def _fingerprint(plan: Plan) -> dict[str, Any]:
    """Return what identifies an input, without reading it."""
    volume = plan.volume
    about: dict[str, Any] = {
        "axes": volume.axes,
        "shape": list(volume.shape),
        "dtype": str(volume.array.dtype),
        "voxel_size": list(volume.voxel_size or ()),
        "origin": list(volume.origin),
        "name": Path(volume.source).name or volume.name,
    }
    if not volume.source:
        return about
    source = Path(volume.source)
    files = plane_files(plan.request.input) if plan.request.input else []
    if source not in files:
        files = [source, *(source / name for name in METADATA)]
        files = [file for file in files if file.is_file()][:1]
    facts = [file.stat() for file in files]
    if facts:
        about["bytes"] = sum(fact.st_size for fact in facts)
        about["modified"] = max(fact.st_mtime_ns for fact in facts)
    return about

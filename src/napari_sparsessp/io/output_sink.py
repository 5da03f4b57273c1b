"""A prediction goes to disk while it is made, and on from there after any accident.

Everything is made in a hidden folder beside the output: the columns as they come, the
image that they are blended into, and a ledger of what is there. A column's core is
written once all columns that reach into it are there, as one sum in one order; so it
does not matter in which order they came, nor how often the run was stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from napari_sparsessp.errors import OutputError
from napari_sparsessp.files import PartialOutput
from napari_sparsessp.io.growing import PLANES, GrowingImage
from napari_sparsessp.io.ledger import Ledger
from napari_sparsessp.io.ome_zarr import CHUNK
from napari_sparsessp.io.run_header import difference, header_of, tile_size_of
from napari_sparsessp.io.tiff_sink import TiffImage
from napari_sparsessp.io.writing import check_output, disk_error, kind_of
from napari_sparsessp.io.zarr_sink import ZarrImage
from napari_sparsessp.prediction.column import ColumnLayout
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.report import Scaling
from napari_sparsessp.prediction.tiling import TileSize

if TYPE_CHECKING:
    import numpy as np


class OutputSink:
    """Takes a prediction column by column; a context, at whose end others may write.

    Parameters
    ----------
    path : str or Path
        Ends in ``.ome.tif`` or ``.ome.zarr``.
    overwrite : bool
        Whether an existing result may be replaced, and an unfinished one forgotten;
        the result stays until the new one is complete.
    resume : bool
        Go on with an unfinished result of this name, where there is one.
    ngff : {"0.5", "0.4"}
        Version of the OME-Zarr.

    Raises
    ------
    OutputError
        As `check_output`; another process writes this output; or something unfinished
        is there and neither `resume` nor `overwrite` says what to do with it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        resume: bool = False,
        ngff: str = "0.5",
    ) -> None:
        self.path = check_output(path, overwrite)
        self._ngff = ngff
        self._place = PartialOutput(self.path)
        self._image: ZarrImage | TiffImage | None = None
        self._growing: GrowingImage | None = None
        self._place.lock()
        try:
            with self._writing():
                if self._place.restore():
                    check_output(path, overwrite)
                self._ledger = self._found(resume, overwrite)
        except BaseException:
            self._place.unlock()
            raise

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what is worth it, and let others write."""
        self.close()

    @property
    def tile_size(self) -> TileSize | None:
        """How the run was cut that is gone on with; None where it is a new one."""
        header = self._ledger.header
        return None if header is None else tile_size_of(header)

    @property
    def keeps_something(self) -> bool:
        """Whether there is something for a later run to go on with."""
        return bool(self._ledger.planes) and self._place.folder.exists()

    def begin(
        self,
        plan: Plan,
        layout: ColumnLayout,
        *,
        model: str,
        device: str,
        precision: str,
    ) -> None:
        """Make the image, or go on with it; see `Sink`.

        Raises
        ------
        OutputError
            What is unfinished there is of another run.
        """
        folder, ledger = self._place.folder, self._ledger
        is_zarr = kind_of(self.path) == "zarr"
        header = header_of(
            plan,
            model=model,
            device=device,
            precision=precision,
            image=f"zarr {self._ngff}" if is_zarr else "tiff",
        )
        differs = "" if ledger.header is None else difference(ledger.header, header)
        if differs:
            raise OutputError(
                f"the unfinished {self.path.name} is of another run, {differs} is "
                "different; ask for the same, or start again with --overwrite"
            )
        steps = steps_of(layout)
        self._image = (
            ZarrImage(folder, plan, self._ngff, steps)
            if is_zarr
            else TiffImage(folder, plan)
        )
        with self._writing():
            if ledger.header is None:
                self._place.clear()
                folder.mkdir()
                self._image.create()
                ledger.open(header)
            else:
                self._image.open()
                ledger.open()
            self._growing = GrowingImage(
                folder, plan, layout, ledger, self._image.array, steps[0]
            )

    def planes_done(self, slot: int, column: int) -> int:
        """Count the planes of a column that are there already."""
        return self._grown.planes_done(slot, column)

    def scaling(self, slot: int) -> Scaling | None:
        """Give the scaling that an earlier run has used for a time point."""
        found = self._ledger.scalings.get(slot)
        return None if found is None else Scaling.model_validate(found)

    def note_scaling(self, slot: int, scaling: Scaling) -> None:
        """Remember the scaling of a time point."""
        if self.scaling(slot) != scaling:
            with self._writing():
                self._ledger.note_scaling(slot, scaling.model_dump(mode="json"))

    def write(self, slot: int, column: int, first: int, planes: np.ndarray) -> None:
        """Take the next planes of a column; see `Sink`."""
        with self._writing():
            self._grown.write(slot, column, first, planes)

    def complete(self) -> Any:
        """Give the finest level, once all columns are there."""
        with self._writing():
            return self._grown.complete()

    def finish(self, provenance: Mapping[str, Any] | None) -> Path:
        """Add what the file says of its making, and give it its name.

        Parameters
        ----------
        provenance : mapping or None
            What `read_provenance` gives back; must be JSON.

        Returns
        -------
        Path
            Where it is.
        """
        assert self._image is not None, "a run has begun"
        with self._writing():
            image = self._image.finish(provenance, self.path.name.split(".")[0])
            self._ledger.close()
            self._growing = None
            self._place.commit(image)
        return self.path

    def close(self) -> None:
        """Keep what a later run can go on with, remove the rest, let others write."""
        try:
            self._note()
            self._growing = None
            self._ledger.close()
            if self._began and not self.keeps_something:
                self._place.clear()
        finally:
            self._place.unlock()

    def _note(self) -> None:
        """Write down what is there, if the disk still takes it."""
        with suppress(OSError):
            if self._growing is not None:
                self._growing.note()

    @property
    def _began(self) -> bool:
        return self._image is not None

    @property
    def _grown(self) -> GrowingImage:
        assert self._growing is not None, "a run has begun"
        return self._growing

    def _found(self, resume: bool, overwrite: bool) -> Ledger:
        """Give the record to go on with: that of an unfinished result, or a new one."""
        path = self._place.folder / "ledger.jsonl"
        found = Ledger(path)
        image = ZarrImage if kind_of(self.path) == "zarr" else TiffImage
        there = (self._place.folder / image.name).exists()
        if found.header is None or not found.planes or not there:
            return Ledger.new(path)
        if resume:
            return found
        if overwrite:
            return Ledger.new(path)
        raise OutputError(
            f"an unfinished {self.path.name} is there: add --resume to go on with it, "
            "or --overwrite to start again"
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what a disk does into one line."""
        try:
            yield
        except OSError as error:
            self._note()
            place = self._place.place
            raise disk_error(place, error, kept=self.keeps_something) from error


def steps_of(layout: ColumnLayout) -> tuple[int, int, int]:
    """Give the (z, y, x) steps on which what is written begins and ends."""
    columns = layout.columns
    z = PLANES
    if len(columns) == 1 and len(columns[0].tiles) > 1:
        # One column goes straight into the image, as its planes become final.
        z = columns[0].final_planes(0)
    sides = []
    for axis in (0, 1):
        start, stop = columns[0].core[axis]
        alone = stop == layout.shape[1 + axis]
        sides.append(CHUNK[1 + axis] if alone else stop - start)
    return max(1, z), sides[0], sides[1]

"""Real stacks that anyone may try: where they are, whose they are, and how to get one.

Nothing is fetched before someone asks for it. Each address is of one fixed version.
What comes is put together into an OME-TIFF in the samples folder, which the command
line and other programs can open as well; the next time it is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import atomic_write, folder_of
from napari_sparsessp.io.downloading import download
from napari_sparsessp.io.sample_parts import (
    atlas_field,
    label_planes,
    pair_of_stacks,
    phase_planes,
    tiled_planes,
    write_stack,
)
from napari_sparsessp.volume import Volume

LARGEST = 200_000_000
"""Bytes that one file may have: all of them are far smaller."""

Meter = Callable[[str, float], None]
"""Called with what is being done and its share; what it raises stops the work."""


class RemoteFile(BaseModel):
    """One file of a public repository, at a fixed version.

    Attributes
    ----------
    repository, commit, path : str
        On GitHub.
    sha256 : str or None
        None where nobody has recorded it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: str
    commit: str
    path: str
    sha256: str | None = None

    @property
    def url(self) -> str:
        """Address of the bytes."""
        return (
            f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/"
            f"{quote(self.path)}"
        )


class PublicSample(BaseModel):
    """A stack, or a stack with its truth, that can be fetched.

    Attributes
    ----------
    key : str
        Also the name of its file.
    title, about : str
        For people: a few words, and what one sees and can try.
    size : str
        How much is fetched, in words.
    licence, credit : str
        Who may use it for what, and whose it is.
    files : tuple of RemoteFile
    stack : str
        Name of the file with the transmitted light.
    truth : str
        Name of a second file with the truth; "" where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    title: str
    about: str
    size: str
    licence: str
    credit: str
    files: tuple[RemoteFile, ...]
    stack: str
    truth: str = ""

    @property
    def checksum_known(self) -> bool:
        """Whether every byte can be verified."""
        return all(one.sha256 for one in self.files)

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return folder_of("samples") / self.key

    @property
    def paths(self) -> tuple[Path, ...]:
        """The stack's file, then the truth's where there is one."""
        return tuple(self.folder / name for name in (self.stack, self.truth) if name)

    @property
    def is_here(self) -> bool:
        """Whether it has been fetched already."""
        return all(path.is_file() for path in self.paths)


_ALLEN = "Allen Institute Software License: not for commercial use"

_FNET = "test_output/current_progress_2017-06-23/run_170622_174530_whole_cropped_"

_NEURONS = (
    "isl/testdata/condition_blue_sample/lab-FINKBEINER,condition-KEVAN_0_8,"
    "acquisition_date,year-2015,month-10,day-5,minute-0,well-A4,"
    "tile_computation-STITCHED,"
)


def _neurons(part: str) -> RemoteFile:
    return RemoteFile(
        repository="google/in-silico-labeling",
        commit="5db882bfab3a1409caca1c4a913c3aa7471c9a3a",
        path=f"{_NEURONS}{part},is_mask-false.png",
    )


_ALL = (
    PublicSample(
        key="hipsc_field",
        title="hiPSC colony, a whole field of view",
        about="Bright-field of human stem cells, 57 planes every 0.29 µm. The kind of "
        "image that the shipped colony models are made for. No fluorescence with it.",
        size="one picture, less than 13 MB",
        licence=_ALLEN,
        credit="Allen Institute for Cell Science, AICS-12; example of its volume "
        "viewer",
        files=(
            RemoteFile(
                repository="allen-cell-animated/volume-viewer",
                commit="541dcd0a0c93edd1955086d1e24db4f1add00199",
                path="example-data/AICS-12_881_atlas_1.png",
            ),
        ),
        stack="hipsc_field.ome.tif",
    ),
    PublicSample(
        key="hipsc_dna_pair",
        title="hiPSC bright-field with DNA as truth",
        about="A small piece, 32 × 128 × 128 voxels of 0.29 µm, with the Hoechst stain "
        "of the same cells: predict DNA and compare.",
        size="two stacks, about 4 MB",
        licence=_ALLEN,
        credit="Allen Institute for Cell Science; example of pytorch_fnet "
        "(Ounkomol et al. 2018)",
        files=(
            RemoteFile(
                repository="AllenCellModeling/pytorch_fnet",
                commit="9eb05226dc42b69f8446c4461d31da51fdf5f9b6",
                path=f"{_FNET}light.tif",
                sha256="3fc4786048785e3051bf8a7c00277c1a"
                "998865d408446cb69e38e8ce6a802cb3",
            ),
            RemoteFile(
                repository="AllenCellModeling/pytorch_fnet",
                commit="9eb05226dc42b69f8446c4461d31da51fdf5f9b6",
                path=f"{_FNET}nuc.tif",
                sha256="e79dd5519519630a1c137bd490b0c697"
                "eaa29c5aa5182738b3d885b7151841cc",
            ),
        ),
        stack="hipsc_dna_pair.ome.tif",
    ),
    PublicSample(
        key="neurons",
        title="Motor neurons in phase contrast, with three stains",
        about="13 planes of human neurons grown from stem cells, and DAPI, MAP2 and "
        "NFH of the same field as truth, one plane each. The size of a pixel is not "
        "recorded.",
        size="16 pictures, some tens of MB",
        licence="CC BY 4.0",
        credit="Christiansen et al. 2018, In silico labeling (google/in-silico-"
        "labeling)",
        files=(
            *(
                _neurons(f"z_depth-{depth},channel-PHASE_CONTRAST")
                for depth in range(13)
            ),
            *(
                _neurons(f"depth_computation-MAXPROJECT,channel-{stain}_CONFOCAL")
                for stain in ("DAPI", "MAP2", "NFH")
            ),
        ),
        stack="neurons.ome.tif",
        truth="neurons_truth.ome.tif",
    ),
    PublicSample(
        key="yeast_timelapse",
        title="Budding yeast over time, five planes",
        about="Bright-field of yeast at 5 time points with 5 planes each: a really "
        "sparse recording, thinner than the models were trained for. The size of a "
        "voxel is not recorded.",
        size="five pictures, less than 1 MB",
        licence="MIT",
        credit="Pietsch et al., BABY (julianpietsch/baby)",
        files=tuple(
            RemoteFile(
                repository="julianpietsch/baby",
                commit="d0df909d5a0a19b65e4e21ec5b6a064e8002eeb7",
                path=f"tests/images/prime95b_testC_tp{time}_Brightfield.png",
            )
            for time in range(1, 6)
        ),
        stack="yeast_timelapse.ome.tif",
    ),
    PublicSample(
        key="blood_cells",
        title="Blood cells, a Nikon file with one plane",
        about="Bright-field, DAPI, FITC and TRITC of white blood cells in a Nikon ND2 "
        "file, one plane: how a single picture and the channels of a file are handled.",
        size="one file, 0.9 MB",
        licence="MIT",
        credit="Arcadia Science, arcadia-microscopy-tools",
        files=(
            RemoteFile(
                repository="Arcadia-Science/arcadia-microscopy-tools",
                commit="600341f4155d0f2034150451afb53b8de8fa5f51",
                path="src/arcadia_microscopy_tools/tests/data/example-pbmc.nd2",
            ),
        ),
        stack="blood_cells.nd2",
    ),
)

PUBLIC_SAMPLES: dict[str, PublicSample] = {one.key: one for one in _ALL}
"""All samples by key."""

_PUT_TOGETHER: dict[str, Callable[[Sequence[Path]], tuple[Volume, ...]]] = {
    "hipsc_field": lambda parts: (atlas_field(parts[0]),),
    "hipsc_dna_pair": lambda parts: (pair_of_stacks(*parts),),
    "neurons": lambda parts: (phase_planes(parts[:13]), label_planes(parts[13:])),
    "yeast_timelapse": lambda parts: (tiled_planes(parts),),
}


def fetch(sample: PublicSample, meter: Meter = lambda _what, _share: None) -> None:
    """Fetch a sample and put it together; one that is here is left as it is.

    Parameters
    ----------
    sample : PublicSample
    meter : callable, optional
        See `Meter`. Called between any two pieces of a few kB.

    Raises
    ------
    InputError
        There is no network, or what came is not the expected image.
    OutputError
        The samples folder cannot be written.
    """
    if sample.is_here:
        return
    parts = [_part(sample, number) for number in range(len(sample.files))]
    for number, (one, part) in enumerate(zip(sample.files, parts, strict=True)):
        if part.is_file():  # whole: a download gets its name at the end
            continue
        download(
            one.url,
            part,
            sha256=one.sha256,
            progress=_progress(meter, number, len(parts)),
            largest=LARGEST,
        )
    meter("putting it together", 1.0)
    try:
        _put_together(sample, parts)
    except InputError:  # the next try must not begin with it
        for part in parts:
            part.unlink(missing_ok=True)
        raise
    for part in parts:
        part.unlink(missing_ok=True)


def open_sample(sample: PublicSample) -> tuple[Volume, ...]:
    """Open a fetched sample: the stack, then the truth where it is a second image.

    Raises
    ------
    InputError
        It is not here, or damaged.
    """
    from napari_sparsessp.io.reading import load_volume

    if not sample.is_here:
        raise InputError(
            f"the sample {sample.key} is not in {sample.folder}; fetch it first"
        )
    return tuple(load_volume(path) for path in sample.paths)


def _part(sample: PublicSample, number: int) -> Path:
    """Where a file is kept until all are there; nothing of the server is in it."""
    return sample.folder / f"part_{number:02d}{Path(sample.files[number].path).suffix}"


def _progress(
    meter: Meter, number: int, count: int
) -> Callable[[int, int | None], None]:
    """Give what turns the bytes of one file into the share of all files."""
    which = f"file {number + 1} of {count}, " if count > 1 else ""

    def tell(done: int, total: int | None) -> None:
        of = f" of {total / 1e6:.1f}" if total else ""
        share = (number + (done / total if total else 0.0)) / count
        meter(f"{which}{done / 1e6:.1f}{of} MB", share)

    return tell


def _put_together(sample: PublicSample, parts: Sequence[Path]) -> None:
    """Make the sample's files of what was fetched."""
    maker = _PUT_TOGETHER.get(sample.key)
    if maker is None:
        try:
            parts[0].replace(sample.paths[0])
        except OSError as error:
            raise OutputError(
                f"cannot write {sample.paths[0]}: {error.strerror or error}; "
                "choose another samples folder in the preferences"
            ) from error
        _check_opens(sample)
        return
    volumes = maker(parts)
    made: Mapping[Path, Volume] = dict(zip(sample.paths, volumes, strict=True))
    for path, volume in made.items():
        with atomic_write(path, "the sample") as part:
            write_stack(part, volume)


def _check_opens(sample: PublicSample) -> None:
    """Take away what is no image."""
    from napari_sparsessp.io.reading import load_volume

    try:
        load_volume(sample.paths[0])
    except InputError:
        sample.paths[0].unlink(missing_ok=True)
        raise

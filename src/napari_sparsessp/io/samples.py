"""Sample stacks: the simulated colony of the package, and real stacks on demand.

Nothing is downloaded before the user asks for it. Each address is of a fixed version.
The downloaded files are assembled into an OME-TIFF in the samples folder, which the
command line and other programs can open as well; the next time it is there already.
"""

from __future__ import annotations

import atexit
import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from urllib.parse import quote

import numpy as np

from napari_sparsessp.download import download
from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import atomic_write, folder_of, output_errors
from napari_sparsessp.tasks import Progress, no_progress
from napari_sparsessp.volume import Volume

# The bundled colony ------------------------------------------------------------------

_COLONY = ("colony_sparse.ome.tif", "colony_truth.ome.tif")
_DENSE = "colony_dense.ome.tif"

# Files of a zipped package are unpacked for as long as the process lives.
_unpacked = ExitStack()
atexit.register(_unpacked.close)


def sample_paths(*, dense: bool = False) -> tuple[Path, Path]:
    """Return the two files of the bundled simulated colony.

    The transmitted-light stack (ZYX, every fourth plane, or all) and the fluorescence
    (CZYX, all planes, channels named by structure).
    """
    paths = []
    for name in (_DENSE, *_COLONY[1:]) if dense else _COLONY:
        entry = files("napari_sparsessp") / "samples" / name
        if not entry.is_file():
            raise InputError(
                f"the sample {name} is not in this installation; reinstall the package"
            )
        paths.append(_unpacked.enter_context(as_file(entry)))
    return paths[0], paths[1]


def bundled_stack() -> Volume:
    """Open the transmitted-light stack of the bundled colony, all planes."""
    from napari_sparsessp.io.reading import load_volume

    return load_volume(sample_paths(dense=True)[0])


# Public samples ----------------------------------------------------------------------

LARGEST = 200_000_000
"""Bytes that a file may have: all of them are far smaller."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a GitHub repository at a fixed commit."""

    repository: str
    commit: str
    path: str
    sha256: str | None = None  # None where not recorded

    @property
    def url(self) -> str:
        """Address of the bytes."""
        return (
            f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/"
            f"{quote(self.path)}"
        )


@dataclass(frozen=True)
class PublicSample:
    """A stack, or a stack with its ground truth, that can be downloaded."""

    key: str  # Also the name of its file
    title: str
    about: str  # What the image shows and can be tried for
    size: str  # Size of the download, in words
    licence: str
    credit: str
    files: tuple[RemoteFile, ...]
    # stack, truth: Names of the assembled files; no `truth` where it is a channel or
    # missing
    stack: str
    truth: str = ""

    @property
    def checksum_known(self) -> bool:
        """Whether every byte can be verified."""
        return all(file.sha256 for file in self.files)

    @property
    def folder(self) -> Path:
        """Folder of its files."""
        return folder_of("samples") / self.key

    @property
    def paths(self) -> tuple[Path, ...]:
        """The stack's file, then the truth's where it has a file."""
        return tuple(self.folder / name for name in (self.stack, self.truth) if name)

    @property
    def is_here(self) -> bool:
        """Whether it has been downloaded already."""
        return all(path.is_file() for path in self.paths)


_ALLEN = "Allen Institute Software License: not for commercial use"

_FNET = "test_output/current_progress_2017-06-23/run_170622_174530_whole_cropped_"

_NEURONS = (
    "isl/testdata/condition_blue_sample/lab-FINKBEINER,condition-KEVAN_0_8,"
    "acquisition_date,year-2015,month-10,day-5,minute-0,well-A4,"
    "tile_computation-STITCHED,"
)


def _neurons(part: str) -> RemoteFile:
    commit = "5db882bfab3a1409caca1c4a913c3aa7471c9a3a"
    path = f"{_NEURONS}{part},is_mask-false.png"
    return RemoteFile("google/in-silico-labeling", commit, path)


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
                "allen-cell-animated/volume-viewer",
                "541dcd0a0c93edd1955086d1e24db4f1add00199",
                "example-data/AICS-12_881_atlas_1.png",
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
                "AllenCellModeling/pytorch_fnet",
                "9eb05226dc42b69f8446c4461d31da51fdf5f9b6",
                f"{_FNET}light.tif",
                sha256="3fc4786048785e3051bf8a7c00277c1a"
                "998865d408446cb69e38e8ce6a802cb3",
            ),
            RemoteFile(
                "AllenCellModeling/pytorch_fnet",
                "9eb05226dc42b69f8446c4461d31da51fdf5f9b6",
                f"{_FNET}nuc.tif",
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
                "julianpietsch/baby",
                "d0df909d5a0a19b65e4e21ec5b6a064e8002eeb7",
                f"tests/images/prime95b_testC_tp{time}_Brightfield.png",
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
                "Arcadia-Science/arcadia-microscopy-tools",
                "600341f4155d0f2034150451afb53b8de8fa5f51",
                "src/arcadia_microscopy_tools/tests/data/example-pbmc.nd2",
            ),
        ),
        stack="blood_cells.nd2",
    ),
)

PUBLIC_SAMPLES: dict[str, PublicSample] = {sample.key: sample for sample in _ALL}
"""All samples by key."""

_ASSEMBLERS: dict[str, Callable[[Sequence[Path]], tuple[Volume, ...]]] = {
    "hipsc_field": lambda parts: (atlas_field(parts[0]),),
    "hipsc_dna_pair": lambda parts: (pair_of_stacks(*parts),),
    "neurons": lambda parts: neurons(parts),
    "yeast_timelapse": lambda parts: (tiled_planes(parts),),
}
"""By key; the other samples are single files that stay as they are."""


def fetch(sample: PublicSample, progress: Progress = no_progress) -> None:
    """Download and assemble a sample; one that is here is left as it is."""
    if sample.is_here:
        return
    count, parts = len(sample.files), []
    for number, file in enumerate(sample.files):
        # No name of the server's is in the path.
        part = sample.folder / f"part_{number:02d}{Path(file.path).suffix}"
        parts.append(part)
        if not part.is_file():  # whole: a download gets its name at the end
            share = _share_of_files(progress, number, count)
            download(
                file.url, part, sha256=file.sha256, progress=share, largest=LARGEST
            )
    progress(1.0, None, "putting it together")
    try:
        _assemble(sample, parts)
    except OutputError:
        parts = []  # the disk is at fault: the next try begins with what has come
        raise
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def open_sample(sample: PublicSample) -> tuple[Volume, ...]:
    """Open a sample: the stack, then the truth where it is a second image."""
    from napari_sparsessp.io.reading import load_volume

    if not sample.is_here:
        raise InputError(
            f"the sample {sample.key} is not in {sample.folder}; fetch it first"
        )
    return tuple(load_volume(path) for path in sample.paths)


def _share_of_files(progress: Progress, number: int, count: int) -> Progress:
    """Turn the bytes of a file into the share of all files."""
    which = f"file {number + 1} of {count}, " if count > 1 else ""

    def scaled(done: float, total: float | None = None, what: str = "") -> None:
        of = f" of {total / 1e6:.1f}" if total else ""
        share = (number + (done / total if total else 0.0)) / count
        progress(share, None, f"{which}{what or f'{done / 1e6:.1f}{of} MB'}")

    return scaled


def _assemble(sample: PublicSample, parts: Sequence[Path]) -> None:
    """Write the sample's files from the downloaded parts."""
    from napari_sparsessp.io.reading import load_volume

    if sample.key in _ASSEMBLERS:
        volumes = _ASSEMBLERS[sample.key](parts)
        for path, volume in zip(sample.paths, volumes, strict=True):
            with atomic_write(path, "the sample") as part:
                write_stack(part, volume)
        return
    path = sample.paths[0]
    with output_errors(path, "choose another samples folder in the preferences"):
        parts[0].replace(path)
    try:
        load_volume(path)
    except InputError:
        path.unlink(missing_ok=True)
        raise


# Assembling --------------------------------------------------------------------------

# The field of view as its description says (AICS-12_881_atlas.json beside it): 57
# planes of 204 × 341 pixels, 6 to a row, made of 624 × 924 pixels of 0.10833 µm. The
# bright-field is the first of the picture's three channels.
_FIELD_TILES, _FIELD_COLUMNS = 57, 6
_FIELD_TILE = (204, 341)
_FIELD_VOXEL = (0.29, 0.325 / 3 * 624 / 204, 0.325 / 3 * 924 / 341)

# Of every stack that pytorch_fnet trained on.
_PAIR_VOXEL = (0.29, 0.29, 0.29)

NEURON_STAINS = ("dapi", "map2", "nfh")
"""Structures of the neurons' truth, in the order of its channels."""


def atlas_field(path: Path) -> Volume:
    """Cut the ZYX stack out of the picture that shows all planes of the field."""
    picture, _ = _picture(path)
    height, width = _FIELD_TILE
    rows = -(-_FIELD_TILES // _FIELD_COLUMNS)
    shape = (rows * height, _FIELD_COLUMNS * width)
    if picture.ndim != 3 or picture.shape[:2] != shape:
        raise _unexpected(path, f"a picture of {picture.shape}")
    stack = cut_tiles(picture[..., 0], _FIELD_TILE, _FIELD_COLUMNS, _FIELD_TILES)
    return Volume(stack, "ZYX", _FIELD_VOXEL, ("Bright-field",), name="hipsc_field")


def pair_of_stacks(light: Path, stain: Path) -> Volume:
    """Put a bright-field stack and its DNA stain together, CZYX."""
    stacks = [np.squeeze(_tiff(path)) for path in (light, stain)]
    for path, stack in zip((light, stain), stacks, strict=True):
        if stack.ndim != 3 or stack.shape != stacks[0].shape:
            raise _unexpected(path, f"a stack of {stack.shape}")
    names = ("Bright-field", "DNA")
    return Volume(np.stack(stacks), "CZYX", _PAIR_VOXEL, names, name="hipsc_dna_pair")


def neurons(paths: Sequence[Path]) -> tuple[Volume, Volume]:
    """Stack the planes, ZYX, and make a channel of one plane from each stain, CZYX."""
    planes, stains = paths[:-3], paths[-3:]
    phase, truth = _grey(planes), _grey(stains)[:, None]
    return (
        Volume(phase, "ZYX", None, ("Phase contrast",), name="neurons"),
        Volume(truth, "CZYX", None, NEURON_STAINS, name="neurons_truth"),
    )


def tiled_planes(paths: Sequence[Path]) -> Volume:
    """Cut the planes of each time point out of its picture, TZYX.

    Their layout is in the picture's own description: the size of a tile in rows and
    columns, how many there are, and how they are arranged.
    """
    times: list[np.ndarray] = []
    for path in paths:
        picture, text = _picture(path)
        try:
            about = json.loads(text)
            height, width = (int(size) for size in about["tilesize"])
            count, columns = int(about["ntiles"]), int(about["layout"][1])
            stack = cut_tiles(picture, (height, width), columns, count)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise _unexpected(path, "no picture that describes its tiles") from error
        if times and stack.shape != times[0].shape:
            raise _unexpected(path, "a stack of another shape than the first")
        times.append(stack)
    return Volume(
        np.stack(times), "TZYX", None, ("Bright-field",), name="yeast_timelapse"
    )


def cut_tiles(
    picture: np.ndarray, tile: tuple[int, int], columns: int, count: int
) -> np.ndarray:
    """Cut planes that lie side by side, row after row, into (count, height, width).

    ValueError: the picture does not hold so many.
    """
    height, width = tile
    rows = -(-count // columns)
    if min(height, width, columns, count) < 1:
        raise ValueError("no tiles")
    whole = picture[: rows * height, : columns * width]
    tiles = whole.reshape(rows, height, columns, width).swapaxes(1, 2)
    return tiles.reshape(-1, height, width)[:count]


def write_stack(path: Path, volume: Volume) -> None:
    """Write a stack as OME-TIFF with its own kind of numbers, names and sizes."""
    from napari_sparsessp.io.ome import OmeMetadata, write_ome_tiff

    names, array = volume.channel_names, volume.array
    about = OmeMetadata(volume.axes, names, volume.voxel_size, name=volume.name)
    write_ome_tiff(path, array, about, array.dtype)


def _grey(paths: Sequence[Path]) -> np.ndarray:
    """Stack grey pictures, shape (count, y, x)."""
    pictures = [_picture(path)[0] for path in paths]
    for path, picture in zip(paths, pictures, strict=True):
        if picture.ndim != 2 or picture.shape != pictures[0].shape:
            raise _unexpected(path, f"a picture of {picture.shape}")
    return np.stack(pictures)


def _picture(path: Path) -> tuple[np.ndarray, str]:
    """Read a PNG and the description in it."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG",)) as image:
                image.load()
                pixels = np.asarray(image)
                text = str(image.info.get("Description", ""))
    except (OSError, ValueError, SyntaxError, Warning) as error:
        raise _unexpected(path, "no picture that can be read") from error
    if pixels.dtype == np.int32:  # how Pillow may hold 16 bits
        pixels = pixels.astype(np.uint16)
    return pixels, text


def _tiff(path: Path) -> np.ndarray:
    import tifffile

    try:
        return np.asarray(tifffile.imread(path))
    except (tifffile.TiffFileError, OSError, ValueError) as error:
        raise _unexpected(path, "no TIFF that can be read") from error


def _unexpected(path: Path, content: str) -> InputError:
    return InputError(
        f"what was fetched for the sample ({path.parent.name}, {path.name}) is "
        f"{content}, not the expected image; the place it came from has changed: "
        "report it"
    )

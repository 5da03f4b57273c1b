"""Files as microscopes and other programs write them, and what they leave open."""

import sys
import uuid
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import zarr

from napari_sparsessp.errors import InputError
from napari_sparsessp.io import reading
from napari_sparsessp.io.calibration import Calibration, Source
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume
from stored import a_volume, store

STACK = np.random.default_rng(3).integers(0, 4000, (8, 12, 16)).astype(np.uint16)
SIZES = {
    f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (1, 0.3, 0.3), strict=True)
}


def ome(path, array=STACK, axes="ZYX", heights=(), sizes=SIZES, **more):
    """An OME-TIFF whose planes lie at these heights (µm)."""
    if len(heights):
        unit = ["µm"] * len(heights)
        more["Plane"] = {"PositionZ": list(heights), "PositionZUnit": unit}
    metadata = {"axes": axes, **sizes, **more}
    tifffile.imwrite(path, array, metadata=metadata, photometric="minisblack")
    return path


UP = np.arange(8) * 1.0


@pytest.mark.parametrize(
    ("heights", "order", "step", "kept", "said"),
    [
        (UP + 5, 1, 1, False, ""),
        (UP[::-1] + 5, -1, 1, False, "downwards"),
        (UP + 5 + 0.1 * (-1) ** np.arange(8), 1, 1, False, ""),  # a drive jitters
        ([5, 6, 7, 9, 10, 11, 12, 13], 1, 1, True, "not evenly"),
        (UP * 2 + 5, 1, 1, False, "1 µm and 2 µm by the positions"),
        ([5] * 8, 1, 1, False, ""),  # of a stage that did not move
        ([5, 7, 6, 8, 9, 10, 11, 12], 1, 1, False, ""),
    ],
    ids=["up", "down", "jitter", "a gap", "another step", "still", "to and fro"],
)
def test_planes_lie_where_they_were_recorded(
    tmp_path, heights, order, step, kept, said
):
    volume = load_volume(ome(tmp_path / "a.ome.tif", heights=heights))
    np.testing.assert_array_equal(volume.numpy(), STACK[::order])
    assert volume.voxel_size == (step, 0.3, 0.3)
    assert volume.origin[0] == pytest.approx(min(heights), abs=0.2)
    assert bool(volume.plane_z) == kept
    assert volume.placed == (True, False, False)
    assert said in "".join(volume.notes)
    assert bool(said) == bool(volume.notes)


def test_a_step_that_only_positions_tell_is_known(tmp_path):
    sizes = {"PhysicalSizeX": 0.3, "PhysicalSizeY": 0.3}
    volume = load_volume(ome(tmp_path / "a.ome.tif", heights=UP * 1.16, sizes=sizes))
    assert volume.voxel_size == (1.16, 0.3, 0.3)


def test_each_channel_lies_at_its_own_height(tmp_path):
    both = np.stack([STACK, STACK + 1])
    heights = np.concatenate([UP, UP + 3])
    volume = load_volume(ome(tmp_path / "a.ome.tif", both, "CZYX", heights))
    assert volume.origin[0] == volume.channel(0).origin[0] == 0
    assert volume.channel(1).origin[0] == 3
    assert not volume.channel(1).plane_z


def test_uneven_planes_are_a_sparse_view_at_their_true_positions(model):
    heights = tuple(0.29 * z for z in (0, 4, 24, 28))
    volume = Volume(STACK[:4], "ZYX", (1.16, 0.29, 0.29), plane_z=(heights,))
    view = plan_prediction(model.card, volume, PredictionRequest()).view
    assert view.positions == pytest.approx((0, 4, 24, 28))
    assert (view.depth, view.ratio) == (32, pytest.approx(4))
    with pytest.raises(InputError, match="not evenly spaced.*ratio"):
        plan_prediction(model.card, volume, PredictionRequest(ratio=4))
    said = PredictionRequest(voxel_size=(1.16, 0.29, 0.29))
    assert plan_prediction(model.card, volume, said).view.depth == 16


def test_files_of_one_field_lie_on_each_other_where_one_does_not_know_its_place():
    stage = Volume(STACK, "ZYX", (1, 0.3, 0.3), origin=(5120, -987, 1234))
    plain = Volume(STACK, "ZYX", (1, 0.5, 0.5), placed=(False,) * 3, name="dna")
    moved, note = plain.beside(stage)
    # First planes and outer edges meet.
    assert moved.origin == pytest.approx((5120, -986.9, 1234.1))
    assert "z, y, x is recorded in one of two files only: dna" in note
    assert stage.beside(plain)[0].origin == pytest.approx((0, -0.1, -0.1))
    known = Volume(STACK, "ZYX", (1, 0.3, 0.3), origin=(5121, -987, 1234))
    assert known.beside(stage) == (known, "")
    assert plain.beside(plain) == (plain, "")
    uneven = Volume(STACK[:3], "ZYX", (1, 0.3, 0.3), plane_z=((0, 1, 5),), name="gap")
    with pytest.raises(InputError, match="planes of gap are not evenly spaced"):
        uneven.beside(stage)


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr"])
def test_a_prediction_knows_its_place_as_far_as_its_input_did(model, tmp_path, name):
    volume = a_volume(placed=(True, False, False), origin=(3, 0, 0))
    store(model, volume, tmp_path / name)
    predicted = load_volume(tmp_path / name)
    assert predicted.placed == (True, False, False)
    assert predicted.origin == (3, 0, 0)


@pytest.fixture
def split(tmp_path):
    """An image in two files: three planes in the first, five in the second."""
    ids = [f"urn:uuid:{uuid.UUID(int=number)}" for number in (1, 2)]
    names = "set_0.ome.tif", "set_1.ome.tif"
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z if z < 3 else z - 3}" PlaneCount="1">'
        f'<UUID FileName="{names[z >= 3]}">{ids[z >= 3]}</UUID></TiffData>'
        for z in range(8)
    )
    for name, own, part in zip(names, ids, (STACK[:3], STACK[3:]), strict=True):
        header = (
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{own}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            'DimensionOrder="XYZCT" Type="uint16" SizeX="16" SizeY="12" SizeZ="8" '
            'SizeC="1" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
            f"{data}</Pixels></Image></OME>"
        )
        with tifffile.TiffWriter(tmp_path / name) as tif:
            for page, plane in enumerate(part):
                text = header.encode() if not page else None
                tif.write(plane, description=text, metadata=None, contiguous=False)
    return [tmp_path / name for name in names]


def test_an_image_in_several_files_is_read_through_all_or_says_which_lacks(split):
    for path in split:
        np.testing.assert_array_equal(load_volume(path).numpy(), STACK)
    whole = split[1].read_bytes()
    split[1].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"truncated|set_1\.ome\.tif|damaged"):
        load_volume(split[0])
    split[1].unlink()
    with pytest.raises(
        InputError, match=r"one of several files .*'set_1\.ome\.tif' is not"
    ):
        load_volume(split[0])


def test_a_position_that_is_whole_is_read_without_the_files_of_others(tmp_path):
    """As Micro-Manager writes them: each header names the files of all positions."""
    ids = [f"urn:uuid:{uuid.UUID(int=number)}" for number in (1, 2)]
    images = "".join(
        f'<Image ID="Image:{k}"><Pixels ID="Pixels:{k}" DimensionOrder="XYZCT" '
        'Type="uint16" SizeX="16" SizeY="12" SizeZ="8" SizeC="1" SizeT="1">'
        f'<Channel ID="Channel:{k}:0" SamplesPerPixel="1"/>'
        f'<TiffData IFD="0" PlaneCount="8"><UUID FileName="pos{k}.ome.tif">{ids[k]}'
        "</UUID></TiffData></Pixels></Image>"
        for k in range(2)
    )
    space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    header = f'<OME xmlns="{space}" UUID="{ids[0]}">{images}</OME>'.encode()
    path = tmp_path / "pos0.ome.tif"
    with tifffile.TiffWriter(path) as tif:
        for page, plane in enumerate(STACK):
            text = header if not page else None
            tif.write(plane, description=text, metadata=None, contiguous=False)
    np.testing.assert_array_equal(load_volume(path).numpy(), STACK)
    with pytest.raises(InputError, match=r"'pos1\.ome\.tif' is not beside it"):
        load_volume(path, scene=1)


def test_a_tag_that_only_complains_is_no_truncation(tmp_path):
    """tifffile says UnicodeDecodeError and the like of tags that nobody needs."""
    path = tmp_path / "a.tif"
    extra = [(65000, "s", 0, b"\xff\xfe\xfa" * 9, True)]
    tifffile.imwrite(path, STACK, photometric="minisblack", extratags=extra)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages[0].tags[65000]
    content[tag.offset + 8 : tag.offset + 12] = (10**8).to_bytes(4, "little")
    path.write_bytes(content)
    np.testing.assert_array_equal(load_volume(path).numpy(), STACK)


def planes(folder, name="bf_z{}.tif", numbers=range(8)):
    for number, plane in zip(numbers, STACK, strict=False):
        tifffile.imwrite(folder / name.format(number), plane, photometric="minisblack")


@pytest.mark.parametrize("given", ["folder", "pattern", "list"])
def test_files_of_a_plane_each_are_a_stack_in_the_order_of_their_numbers(
    tmp_path, given
):
    planes(tmp_path, numbers=range(4, 12))  # z10 comes after z9
    (tmp_path / "._bf_z4.tif").write_bytes(b"of a Mac")
    files = [tmp_path / f"bf_z{number}.tif" for number in range(4, 12)]
    what = {"folder": tmp_path, "pattern": tmp_path / "bf_z*.tif", "list": files[::-1]}
    volume = load_volume(what[given])
    assert (volume.axes, volume.shape) == ("ZYX", STACK.shape)
    np.testing.assert_array_equal(volume.numpy(), STACK)
    assert volume.notes[0].startswith("8 files were read as the planes of a stack")
    assert volume.notes[0].endswith("bf_z4.tif … bf_z11.tif")


def test_planes_of_several_stacks_or_sizes_are_refused(tmp_path):
    planes(tmp_path, "r1f1p{}ch1.tif")
    planes(tmp_path, "r1f2p{}ch1.tif")
    with pytest.raises(InputError, match=r"more than a number differs; .*'r1f1p0ch\*"):
        load_volume(tmp_path)
    tifffile.imwrite(tmp_path / "r1f1p9ch1.tif", STACK[0, :9])
    with pytest.raises(InputError, match=r"p9ch1\.tif is not one grey plane like"):
        load_volume(tmp_path / "r1f1p*ch1.tif")
    alone = ome(tmp_path / "alone.ome.tif")
    assert load_volume([alone]).shape == STACK.shape
    with pytest.raises(InputError, match="no file is called like .*none"):
        load_volume(tmp_path / "none*.tif")


def plate(path, version):
    """A plate of two wells with two fields each, of constant stacks."""
    new = version == "0.5"

    def say(group, content):
        group.attrs.update({"ome": content | {"version": version}} if new else content)

    root = zarr.create_group(path, zarr_format=3 if new else 2)
    say(root, {"plate": {"wells": [{"path": "A/1"}, {"path": "A/2"}]}})
    for number, well in enumerate(("A/1", "A/2")):
        group = root.require_group(well)
        say(group, {"well": {"images": [{"path": "0"}, {"path": "1"}]}})
        for field in range(2):
            image = group.create_group(str(field))
            image.create_array("0", data=STACK * 0 + 2 * number + field)
            axes = [{"name": axis, "type": "space"} for axis in "zyx"]
            say(image, {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plate_lists_its_fields_and_gives_one(tmp_path, version):
    path = plate(tmp_path / "p.ome.zarr", version)
    with pytest.raises(InputError, match="plate of 4 fields .*1 'A/1/1', 2 'A/2/0'"):
        load_volume(path)
    for which in ("A/2/1", 3):
        assert (load_volume(path, scene=which).numpy() == 3).all()
    with pytest.raises(InputError, match="no scene 'B/1/0'; there are: 0 'A/1/0'"):
        load_volume(path, scene="B/1/0")


@pytest.mark.parametrize("axes", ["TZYX", "CYX", "TYX"])
def test_the_user_names_axes_that_a_file_calls_otherwise(tmp_path, axes):
    path = tmp_path / "a.tif"
    data = STACK[:, None] if axes == "TZYX" else STACK
    metadata = {"axes": axes, "unit": "um", "spacing": 1.16}
    how = {"imagej": True, "resolution": (1 / 0.3, 1 / 0.3)}
    tifffile.imwrite(path, data, metadata=metadata, **how)
    told = load_volume(path)
    assert told.shape[-3] == 1
    assert told.voxel_size is None  # the spacing is left over from another image
    assert "name the axes: ZYX" in told.notes[0]
    volume = load_volume(path, axes="zyx")
    np.testing.assert_array_equal(volume.numpy(), STACK)
    assert volume.voxel_size == pytest.approx((1.16, 0.3, 0.3), rel=1e-4)
    for wrong in ("YX", "ZZYX", "QYX", ""):
        with pytest.raises(InputError, match=f"axes '{wrong}' do not fit a.tif, whose"):
            load_volume(path, axes=wrong)


@pytest.mark.parametrize("shape", [(1, 1, 1, 8, 12, 16), (8, 1, 12, 16)])
def test_axes_of_one_are_dropped_first(tmp_path, shape):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK.reshape(shape), photometric="minisblack")
    assert load_volume(path).axes == "ZYX"
    np.testing.assert_array_equal(load_volume(path).numpy(), STACK)


def test_a_scale_without_a_unit_is_taken_as_micrometres_and_said(tmp_path):
    group = zarr.create_group(tmp_path / "a.ome.zarr", zarr_format=2)
    group.create_array("0", data=STACK)
    step = {"type": "scale", "scale": [1.16, 0.29, 0.29]}
    image = {
        "axes": [{"name": axis, "type": "space"} for axis in "zyx"],
        "datasets": [{"path": "0", "coordinateTransformations": [step]}],
    }
    group.attrs["multiscales"] = [image]
    volume = load_volume(tmp_path / "a.ome.zarr")
    assert volume.voxel_size == (1.16, 0.29, 0.29)
    assert "without a unit: µm was assumed" in volume.notes[0]
    step["scale"] = [1, 1, 1]
    group.attrs["multiscales"] = [image]
    assert load_volume(tmp_path / "a.ome.zarr").voxel_size is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.czi", r"bioio-czi \(licence: GPL\).*'napari-sparsessp\[czi\]'"),
        ("a.lif", r"bioio-lif, .*\[lif\]"),
        ("a.dv", r"bioio-dv, .*\[dv\]"),
        ("a.ics", r"bioio-bioformats \(needs Java.*\[bioformats\]"),
    ],
)
def test_a_reader_that_is_not_installed_is_named(tmp_path, monkeypatch, name, said):
    monkeypatch.setattr(reading, "find_spec", lambda module: None)
    (tmp_path / name).write_bytes(b"whatever")
    with pytest.raises(InputError, match=f"{name} needs the reader {said}"):
        load_volume(tmp_path / name)


def test_a_module_that_a_reader_lacks_is_named_and_is_no_damage(tmp_path, monkeypatch):
    def fail(*_):
        raise ModuleNotFoundError("no", name="imagecodecs.lzw")

    monkeypatch.setattr(reading, "open_tiff", fail)
    with pytest.raises(InputError, match="its reader needs imagecodecs.*pip install"):
        load_volume(ome(tmp_path / "a.ome.tif"))


@pytest.mark.parametrize("shape", ["ZX", "ZYX"])
def test_a_scan_of_x_and_z_is_said(tmp_path, monkeypatch, shape):
    """bioio-lif gives it a y of 1, and cannot read it."""
    array = STACK[:, 0] if shape == "ZX" else STACK[:, :1]
    scan = Source(array, shape, [], Calibration(), "")
    monkeypatch.setattr(reading, "find_spec", lambda module: True)
    monkeypatch.setattr(reading, "source_of", lambda *_: scan)
    image = SimpleNamespace(BioImage=lambda path: SimpleNamespace(reader=None))
    monkeypatch.setitem(sys.modules, "bioio", image)
    (tmp_path / "a.lif").write_bytes(b"whatever")
    with pytest.raises(InputError, match="a scan of x and z without y"):
        load_volume(tmp_path / "a.lif")


def test_the_pixel_of_a_camera_is_asked_about(model):
    volume = Volume(STACK, "ZYX", None, pixel_size=(6.45, 6.45))
    with pytest.raises(InputError, match=r"6\.45 µm.*495 times .*--voxel-size"):
        plan_prediction(model.card, volume, PredictionRequest(ratio=4))
    insisted = PredictionRequest(voxel_size=(1.16, 6.45, 6.45))
    plan = plan_prediction(model.card, volume, insisted)
    assert any("6.45" in warning for warning in plan.warnings)

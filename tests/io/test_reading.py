"""Every image comes in with right axes and sizes, and every bad one with advice."""

import logging
import warnings

import numpy as np
import pytest
import tifffile
import zarr

from napari_sparsessp.errors import InputError
from napari_sparsessp.io import tiff_reading
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.tiff_reading import known_axes

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 4000, (7, 30, 40)).astype(np.uint16)

REAL = {
    "allen_hipsc_brightfield_fov.ome.tif": ("ZYX", (57, 204, 341), True, 1),
    "allen_hipsc_dna_top.ome.tif": ("CZYX", (2, 32, 64, 128), True, 2),
    "isl_neurons_phase_left.ome.tif": ("ZYX", (13, 1024, 640), False, 1),
    "isl_neurons_labels_left.ome.tif": ("CZYX", (3, 1, 1024, 640), False, 3),
    "yeast_5plane_a.ome.tif": ("ZYX", (5, 81, 81), False, 0),
    "yeast_5plane_b.ome.tif": ("ZYX", (5, 81, 81), False, 0),
    "yeast_5plane_c.ome.tif": ("ZYX", (5, 81, 81), False, 0),
    "yeast_5plane_timelapse.ome.tif": ("TZYX", (5, 5, 117, 117), False, 0),
    "pbmc_brightfield_dapi_fitc_tritc.nd2": ("CZYX", (4, 1, 256, 256), False, 4),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_have_their_axes_sizes_and_names(name, shared_data):
    axes, shape, calibrated, names = REAL[name]
    volume = load_volume(shared_data(name))
    assert (volume.axes, volume.shape) == (axes, shape)
    assert (volume.voxel_size is not None) == calibrated
    assert len(volume.channel_names) == names
    assert volume.name == name.split(".")[0]
    alone = volume.time(0).channel(0)
    assert np.isfinite(alone.planes([0])).all()


def test_real_voxel_sizes_chunks_and_channels(shared_data, monkeypatch):
    monkeypatch.setattr(tiff_reading, "_SMALL", 0)  # small files are read at once
    allen = load_volume(shared_data("allen_hipsc_brightfield_fov.ome.tif"))
    assert allen.voxel_size == pytest.approx((0.29, 0.331, 0.294), abs=1e-3)
    assert allen.array.chunksize == (1, 204, 341)
    assert allen.planes([3]).any()
    pair = load_volume(shared_data("allen_hipsc_dna_top.ome.tif"))
    for which in (0, 1):
        part = pair.channel(which).region([30, 2], slice(3, 9, 2), slice(5, 60))
        wanted = pair.numpy()[which][[30, 2], 3:9:2, 5:60]
        np.testing.assert_array_equal(part, wanted)
    path = shared_data("pbmc_brightfield_dapi_fitc_tritc.nd2")
    nikon = load_volume(path)
    assert nikon.voxel_size is None  # one plane: its step of 1 is nobody's measurement
    assert nikon.pixel_size == pytest.approx((0.6468, 0.6468), abs=1e-4)
    assert load_volume(path, channel="DAPI").channel_names == ("DAPI",)


def _imagej(path, data=STACK, axes="ZYX", unit="um", factor=1, **metadata):
    tifffile.imwrite(
        path,
        data,
        imagej=True,
        resolution=(factor / 0.2, factor / 0.25),
        metadata={"axes": axes, "unit": unit, **metadata},
    )
    return path


UNITS = {"um": 1, r"\u00B5m": 1, "micron": 1, "microns": 1, "nm": 1e-3, "mm": 1e3}


@pytest.mark.parametrize("unit", UNITS)
def test_imagej_stacks_have_z_and_sizes_in_micrometres(tmp_path, unit):
    factor = UNITS[unit]
    path = tmp_path / "a.tif"
    volume = load_volume(_imagej(path, unit=unit, factor=factor, spacing=0.5 / factor))
    assert volume.axes == "ZYX"
    assert volume.voxel_size == pytest.approx((0.5, 0.25, 0.2), rel=1e-5)
    np.testing.assert_array_equal(volume.numpy(), STACK)


@pytest.mark.parametrize(
    ("metadata", "seconds"),
    [
        ({"finterval": 59.86}, 59.86),
        ({"finterval": 2, "tunit": "min"}, 120),
        ({"finterval": 0}, None),
        ({"finterval": 3, "tunit": "frames"}, None),
        ({}, None),
    ],
)
def test_imagej_records_the_time_between_frames(tmp_path, metadata, seconds):
    data = RNG.integers(0, 99, (3, 5, 20, 30)).astype(np.uint16)
    volume = load_volume(_imagej(tmp_path / "a.tif", data, "TZYX", **metadata))
    assert volume.time_step == (seconds and pytest.approx(seconds))


def test_nikon_measures_the_time_between_frames(shared_data):
    """It was asked for none, and took 0.5 s for each."""
    volume = load_volume(shared_data("formats/example-timelapse.nd2"))
    assert volume.time_step == pytest.approx(0.50016, abs=1e-5)
    assert load_volume(shared_data("formats/example-zstack.nd2")).time_step is None


METASERIES = """<MetaData>{}<PlaneInfo>
<prop id="spatial-calibration-state" type="bool" value="{}"/>
<prop id="spatial-calibration-x" type="float" value="0.65"/>
<prop id="spatial-calibration-y" type="float" value="0.7"/>
<prop id="spatial-calibration-units" type="string" value="{}"/>
</PlaneInfo></MetaData>"""


@pytest.mark.parametrize(
    ("facts", "size"),
    [
        (("", "on", "um"), (0.7, 0.65)),
        (("", "off", "um"), None),
        (("", "on", "furlong"), None),
        (("<!-- -->", "on", "um"), None),  # where a DOCTYPE might be
        (("<", "on", "um"), None),
    ],
)
def test_metaxpress_records_the_pixel_size_in_a_header_of_its_own(
    tmp_path, facts, size
):
    """Its resolution tags are a screen's; planes of a folder have it as well."""
    for number in range(2):
        tifffile.imwrite(
            tmp_path / f"w1_z{number}.TIF",
            STACK[number],
            description=METASERIES.format(*facts),
            software="MetaSeries",
            metadata=None,
            resolution=(72, 72),
            resolutionunit="INCH",
        )
    assert load_volume(tmp_path / "w1_z0.TIF").pixel_size == size
    assert load_volume(tmp_path).pixel_size == size


def test_a_plane_of_metaxpress_has_its_pixel_size(shared_data):
    volume = load_volume(shared_data("formats/metaxpress_w1_z0.TIF"))
    assert volume.pixel_size == (1.3672, 1.3672)


@pytest.mark.parametrize("unit", ["um", "pixel", "", "inch"])
def test_units_that_are_no_microscope_are_not_believed(tmp_path, unit):
    more = {} if unit == "um" else {"spacing": 1.0}  # pixels may be known alone
    volume = load_volume(_imagej(tmp_path / "a.tif", unit=unit, **more))
    assert volume.voxel_size is None
    known = pytest.approx((0.25, 0.2), rel=1e-5) if unit == "um" else None
    assert volume.pixel_size == known


def test_imagej_hyperstacks_come_out_as_tczyx(tmp_path):
    data = RNG.integers(0, 99, (2, 5, 3, 20, 30)).astype(np.uint16)
    volume = load_volume(_imagej(tmp_path / "hyper.tif", data, "TZCYX"))
    assert volume.axes == "TCZYX"
    assert volume.shape == (2, 3, 5, 20, 30)
    assert volume.channel_names == ("Channel 0", "Channel 1", "Channel 2")
    stack = volume.time(1).channel(2)
    np.testing.assert_array_equal(stack.numpy(), data[1, :, 2])


def _pages_of_pil(path):
    from PIL import Image

    pages = [Image.fromarray(plane) for plane in STACK]
    pages[0].save(path, save_all=True, append_images=pages[1:])


def _pages_one_by_one(path, **options):
    with tifffile.TiffWriter(path) as tif:
        for plane in STACK:
            tif.write(plane, contiguous=False, **options)


def _pages_of_one_array(path):
    tifffile.imwrite(path, STACK, photometric="minisblack")


def _one_page_for_all(path):
    tifffile.imwrite(path, STACK, truncate=True, photometric="minisblack")


def _pages_without_a_header(path):
    _pages_one_by_one(path, metadata=None, compression="zlib")


@pytest.mark.parametrize(
    "write",
    [
        _pages_of_pil,
        _pages_one_by_one,
        _pages_without_a_header,
        _pages_of_one_array,
        _one_page_for_all,
    ],
)
def test_pages_of_a_plain_tiff_are_planes(tmp_path, write):
    path = tmp_path / "pages.tif"
    write(path)
    volume = load_volume(path)
    assert volume.axes == "ZYX"
    assert volume.voxel_size is None
    np.testing.assert_array_equal(volume.numpy(), STACK)
    np.testing.assert_array_equal(volume.planes([5, 1]), STACK[[5, 1]])


def test_dots_per_inch_of_a_screen_are_no_pixel_size(tmp_path):
    path = tmp_path / "dpi.tif"
    tifffile.imwrite(path, STACK[0], resolution=(72, 72), resolutionunit="INCH")
    assert load_volume(path).pixel_size is None
    tifffile.imwrite(path, STACK[0], resolution=(4e4, 4e4), resolutionunit="CENTIMETER")
    volume = load_volume(path)
    assert volume.pixel_size == pytest.approx((0.25, 0.25))
    assert (volume.axes, volume.shape) == ("ZYX", (1, 30, 40))


def _ome(path, data=STACK, **metadata):
    tifffile.imwrite(path, data, metadata={"axes": "ZYX", **metadata})
    return path


def test_ome_units_and_positions_are_converted(tmp_path):
    planes = len(STACK)
    path = _ome(
        tmp_path / "nm.ome.tif",
        PhysicalSizeX=200,
        PhysicalSizeXUnit="nm",
        PhysicalSizeY=0.2,
        PhysicalSizeZ=290,
        PhysicalSizeZUnit="nm",
        Plane={
            "PositionX": [1.5] * planes,
            "PositionXUnit": ["mm"] * planes,
            "PositionZ": [2.0 + k for k in range(planes)],
            "PositionZUnit": ["µm"] * planes,
            "PositionY": [7.0] * planes,  # "reference frame": no length
        },
    )
    volume = load_volume(path)
    assert volume.voxel_size == (0.29, 0.2, 0.2)
    assert volume.origin == (2.0, 0.0, 1500.0)


@pytest.mark.parametrize(
    ("step", "pixel", "planes", "voxel"),
    [
        *((0.5, size, 7, None) for size in (0.0, float("nan"), 1.0, 1e9, 1e-9)),
        (1.0, 0.2, 7, (1, 0.2, 0.2)),
        (1.0, 0.2, 1, None),  # nobody's measurement in a single plane
    ],
)
def test_sizes_that_cannot_be_meant_are_unknown(tmp_path, step, pixel, planes, voxel):
    sizes = {"PhysicalSizeX": pixel, "PhysicalSizeY": pixel, "PhysicalSizeZ": step}
    volume = load_volume(_ome(tmp_path / "a.ome.tif", STACK[:planes], **sizes))
    assert volume.voxel_size == voxel
    assert volume.pixel_size == ((0.2, 0.2) if pixel == 0.2 else None)
    np.testing.assert_array_equal(volume.numpy(), STACK[:planes])


def test_channels_are_chosen_or_listed(tmp_path):
    data = RNG.integers(0, 99, (2, 4, 20, 30)).astype(np.uint16)
    path, names = tmp_path / "two.ome.tif", {"Name": ["Bright-field", "DNA"]}
    tifffile.imwrite(path, data, metadata={"axes": "CZYX", "Channel": names})
    for which in ("DNA", "dna", 1, "1"):
        volume = load_volume(path, channel=which, need_channel=True)
        assert volume.axes == "ZYX"
        np.testing.assert_array_equal(volume.numpy(), data[1])
    assert load_volume(path).axes == "CZYX"
    with pytest.raises(InputError, match="2 channels; .*0 'Bright-field', 1 'DNA'"):
        load_volume(path, need_channel=True)
    with pytest.raises(InputError, match="'Hoechst'; there are: 0 'Bright-field'"):
        load_volume(path, channel="Hoechst")


def test_scenes_are_chosen_or_listed(tmp_path):
    path = tmp_path / "scenes.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for size in (0.1, 0.2):
            sizes = {"PhysicalSizeX": size, "PhysicalSizeY": size, "PhysicalSizeZ": 1}
            scene = (STACK * size).astype(np.uint16)
            tif.write(scene, metadata={"axes": "ZYX", **sizes})
    assert load_volume(path).voxel_size == (1, 0.1, 0.1)
    second = load_volume(path, scene=1)
    assert second.voxel_size == (1, 0.2, 0.2)
    np.testing.assert_array_equal(second.numpy(), (STACK * 0.2).astype(np.uint16))
    with pytest.raises(InputError, match="no scene 2; there are: 0 .*, 1 "):
        load_volume(path, scene=2)
    with pytest.raises(InputError, match="no scene 'x'"):
        load_volume(path, scene="x")


def test_time_points_are_chosen_like_a_python_slice(tmp_path):
    data = RNG.integers(0, 99, (5, 3, 10, 12)).astype(np.uint16)
    path = tmp_path / "t.ome.tif"
    tifffile.imwrite(path, data, metadata={"axes": "TZYX"})
    for time, expected in (
        ("2", [2]),
        (2, [2]),
        ("1:3", [1, 2]),
        ("::2", [0, 2, 4]),
        ("-2:", [3, 4]),
        ("-1", [4]),
    ):
        volume = load_volume(path, time=time)
        assert volume.axes == ("TZYX" if len(expected) > 1 else "ZYX")
        wanted = data[expected].squeeze()
        np.testing.assert_array_equal(volume.numpy().squeeze(), wanted)
    for time in ("a", "", "5:9", "1:2:3:4", "::0", "7", "1.5"):
        with pytest.raises(InputError, match="time"):
            load_volume(path, time=time)
    alone = _ome(tmp_path / "a.ome.tif")
    for time in ("0", 0, "0:1", ":"):
        assert load_volume(alone, time=time).axes == "ZYX"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_foreign_ome_zarr_is_read_in_both_versions(tmp_path, version):
    path = tmp_path / "foreign.ome.zarr"
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    group.create_array("full", data=np.stack([STACK, STACK + 1]))
    units = {"z": "nanometer", "y": "micrometer", "x": "micrometer"}
    steps = [
        {"type": "scale", "scale": [1, 145, 0.1, 0.1]},
        {"type": "translation", "translation": [0, 1000, 3, 4]},
    ]
    multiscale = {
        "axes": [
            {"name": "c", "type": "channel"},
            *({"name": z, "type": "space", "unit": unit} for z, unit in units.items()),
        ],
        "datasets": [{"path": "full", "coordinateTransformations": steps}],
        "coordinateTransformations": [{"type": "scale", "scale": [1, 2, 2, 2]}],
    }
    omero = {"channels": [{"label": "BF"}, {"label": "DNA"}]}
    attributes = {"multiscales": [multiscale | {"version": version}], "omero": omero}
    group.attrs.update(attributes if version == "0.4" else {"ome": attributes})
    volume = load_volume(path)
    assert volume.axes == "CZYX"
    assert volume.voxel_size == pytest.approx((0.29, 0.2, 0.2))
    assert volume.origin == pytest.approx((2.0, 6, 8))
    assert volume.channel_names == ("BF", "DNA")
    np.testing.assert_array_equal(volume.channel("DNA").numpy(), STACK + 1)


def _noise(path):
    path.write_bytes(RNG.bytes(4000))


def _rgb_tiff(path):
    tifffile.imwrite(path, STACK[..., :3].astype("u1"), photometric="rgb")


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [  # tests/hostile has many more, through the command line
        ("rgb.tif", _rgb_tiff, "colour"),
        ("garbage.nd2", _noise, "cannot be read"),
        ("garbage.xyz", _noise, "cannot be read"),
        ("folder.ome.zarr", lambda path: path.mkdir(), "folder"),
        ("group.zarr", lambda path: zarr.create_group(path), "no image"),
    ],
)
def test_what_is_no_stack_is_refused_in_one_line_with_advice(
    tmp_path, name, write, message, caplog
):
    write(tmp_path / name)
    caplog.set_level(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=message) as caught:
            load_volume(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not caplog.records


AXES = {
    "YX": "YX", "ZYX": "ZYX", "IYX": "ZYX", "QYX": "ZYX", "TYX": "TYX", "QQYX": "CZYX",
    "TQYX": "TZYX", "ZQYX": "ZCYX", "QQQYX": "TCZYX", "QQQQYX": "QTCZYX", "YXS": "YXS",
    "IYXS": "ZYXS",
}  # fmt: skip


def test_axes_are_named_from_the_right():
    assert {axes: known_axes(axes) for axes in AXES} == AXES
    assert known_axes("QQQYX", (9, 1, 1, 5, 5)) == "ZTCYX"

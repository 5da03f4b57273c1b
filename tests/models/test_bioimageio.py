"""A bioimage.io package holds the model's numbers, and says all that they need.

With `bioimageio.spec` installed it is validated. `bioimageio.core` pins a version of
it that fails beside pydantic 2.14: tools/check_bioimageio.py makes it an environment.
"""

import io
import json
import zipfile
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import napari_sparsessp.models.bioimageio as exporting
import napari_sparsessp.models.bioimageio_rdf as description
from napari_sparsessp.errors import InputError, ModelError, OutputError
from napari_sparsessp.io.samples import bundled_stack
from napari_sparsessp.models.bioimageio import export_bioimageio
from napari_sparsessp.models.bioimageio_rdf import EXTREMES, Interface, _scales, spdx
from napari_sparsessp.models.library import load_model
from napari_sparsessp.models.raw_forward import raw_forward
from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.prediction.normalisation import CLIP
from napari_sparsessp.tasks import Cancelled
from napari_sparsessp.volume import Volume
from thin import card_of, save_random, thin_network

# TorchScript, which other programs run
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

SMALL = {"outputs": 2, "depth": 8, "folded_width": 8, "inputs": 1, "groups": 1}
SMALL |= {"encoder_widths": (2, 3), "decoder_widths": (2,), "encoder_blocks": (1, 1)}

NETWORKS = {
    "3to2d": thin_network(),
    "2d": thin_network(topology="2d", interpolation="hold"),
    "3d": thin_network(topology="3d", decoder_widths=(4, 8)),
    "2to3d": thin_network(
        topology="2to3d", decoder_widths=(4, 8), interpolation="nearest"
    ),
    "fnet": NetworkConfig(**SMALL, backbone="fnet", topology="3d"),
    "dodnet": NetworkConfig(**SMALL, backbone="dod", conditioning="dodnet"),
    "repmode": NetworkConfig(
        **SMALL, backbone="plain", topology="3d", conditioning="repmode"
    ),
    "postfix": NetworkConfig(
        **SMALL, backbone="dod", topology="3d", mapping="postfix", ratio=2
    ),
}
"""One of each topology and mapping, and those whose predictions take shortcuts."""


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(description, "HALO", 8)


@pytest.fixture(scope="module")
def sample():
    noise = np.random.default_rng(0).integers(0, 4000, (16, 64, 64), np.uint16)
    return Volume(noise, "ZYX", voxel_size=(0.29, 0.29, 0.29))


def exported(folder, config, sample, ratio=None, **card):
    """Export a network with random weights: its file, and the package's files."""
    path = save_random(folder / "thin.safetensors", config, **card)
    out = export_bioimageio(path, folder / "thin.zip", sample, ratio=ratio)
    with zipfile.ZipFile(out) as archive:
        return path, {name: archive.read(name) for name in archive.namelist()}


def rdf_of(files):
    return yaml.safe_load(files["rdf.yaml"])


def run(files, planes):
    """Predict measured planes (n, H, W) with the package's TorchScript."""
    network = torch.jit.load(io.BytesIO(files["weights.pt"]))
    with torch.no_grad():
        return network(torch.from_numpy(planes)[None, None])[0].numpy()


@pytest.mark.parametrize(
    ("kind", "ratio"),
    [
        ("3to2d", 1), ("3to2d", 4), ("2d", 2), ("3d", 1), ("3d", 4), ("2to3d", 4),
        ("fnet", 1), ("dodnet", 1), ("repmode", 1), ("postfix", 2),
    ],
)  # fmt: skip
def test_torchscript_gives_the_networks_numbers(tmp_path, sample, kind, ratio):
    """At sizes with which it was neither traced nor checked."""
    config = NETWORKS[kind]
    path, files = exported(tmp_path, config, sample, ratio)
    axes = rdf_of(files)["inputs"][0]["axes"]
    deep = axes[2]["size"]
    planes = deep if isinstance(deep, int) else deep["min"] + 2 * deep["step"]
    shape = (planes, 3 * config.stride, 5 * config.stride)
    stack = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    wanted = raw_forward(path, stack, ratio=ratio)
    deviation = np.abs(run(files, stack) - wanted).max()
    assert deviation <= 1e-5 * max(1, np.abs(wanted).max())
    if config.backbone == "slim":  # as all shipped colony models
        network = torch.jit.load(io.BytesIO(files["weights.pt"]))
        assert "Device" not in str(network.inlined_graph), "it runs on any device"
    assert ("On the CPU only" in files["README.md"].decode()) == (kind == "dodnet")


def test_a_model_of_projections_gives_one_plane(tmp_path, sample):
    config = thin_network(topology="2d", inputs=1)
    path, files = exported(tmp_path, config, sample, z_projection="mean", ratios=(1,))
    stack = np.random.default_rng(1).normal(size=(8, 16, 16)).astype(np.float32)
    wanted = raw_forward(path, stack).mean(1, keepdims=True)
    assert np.allclose(run(files, stack), wanted, atol=1e-6)
    z = rdf_of(files)["outputs"][0]["axes"][2]
    assert (z["size"], round(z["scale"], 6)) == (1, 2.32)
    assert np.load(io.BytesIO(files["test_output.npy"])).shape[2] == 1


def test_the_test_tensors_are_a_stack_and_its_prediction(tmp_path):
    """Scaled as the description says, and large enough for it."""
    sample = bundled_stack()
    _, files = exported(tmp_path, NETWORKS["3d"], sample, 2)
    source, prediction = (
        np.load(io.BytesIO(files[f"test_{name}.npy"])) for name in ("input", "output")
    )
    axes = rdf_of(files)["inputs"][0]["axes"][2:]
    assert source.shape == (1, 1, *(axis["size"]["min"] for axis in axes))
    assert np.isin(source[0, 0], sample.numpy()[::2]).all()
    scaled = (source - source.mean(dtype=float)) / source.std(dtype=float)
    wanted = run(files, scaled[0, 0].astype(np.float32))
    assert np.allclose(prediction[0], wanted, atol=1e-5)


def test_the_description_says_all_that_the_numbers_need(tmp_path, sample):
    card = {
        "name": "Zellkerne, größer: 1µm",
        "licence": "CC BY 4.0",
        "citation": "Ounkomol et al., Nature Methods (2018), doi:10.1038/s41592-018-1.",
        "scaling": "robust",
        "voxel_size": (0.5, 0.29, 0.29),
    }
    path, files = exported(tmp_path, NETWORKS["3to2d"], sample, 4, **card)
    rdf = rdf_of(files)
    assert rdf["format_version"].startswith("0.5.")
    assert rdf["name"] == "Zellkerne gr er 1 m"
    assert rdf["license"] == "CC-BY-4.0"
    assert rdf["authors"] == [{"name": "Ounkomol et al."}]
    assert [one["doi"] for one in rdf["cite"]] == ["10.1038/s41592-018-1"]
    assert "uploader" not in rdf
    (source,), (result,) = rdf["inputs"], rdf["outputs"]
    assert source["preprocessing"][0]["id"] == "zero_mean_unit_variance"
    z, y, _ = source["axes"][2:]
    assert (z["size"], z["scale"], z["unit"]) == (2, 2.0, "micrometer")
    halo = result["axes"][3]["halo"]
    assert y["size"]["min"] > 2 * halo > 0
    assert y["size"]["step"] == load_model(path).network.config.stride
    assert result["axes"][1]["channel_names"] == ["dna", "cell_membrane"]
    assert result["axes"][2]["scale"] == 0.5
    assert json.loads(files["card.json"])["id"] == "thin"
    told = files["README.md"].decode()
    for words in ("the distance", "r = 4", "percentiles 0.05 and 99.95", "Validation"):
        assert words in told


def test_every_file_is_in_the_description_with_its_checksum(tmp_path, sample):
    _, files = exported(tmp_path, NETWORKS["2d"], sample, licence="Ask the author")
    named = {}

    def look(value):
        if isinstance(value, dict):
            if "source" in value:
                named[value["source"]] = value["sha256"]
            value = list(value.values())
        for part in value if isinstance(value, list) else ():
            look(part)

    look(rdf_of(files))
    del files["rdf.yaml"]
    assert named == {name: sha256(data).hexdigest() for name, data in files.items()}
    assert files["LICENSE.txt"] == b"Ask the author\n"


def test_the_cover_shows_only_what_the_model_is_made_for(tmp_path, sample):
    _, files = exported(tmp_path, NETWORKS["2d"], sample)
    cover = np.asarray(Image.open(io.BytesIO(files["cover.jpg"])))
    assert cover.shape == (480, 960, 3)
    light, stain = np.split(cover.astype(int), 2, axis=1)
    assert np.ptp(light[:, :-8], axis=2).max() <= 2  # grey
    assert np.ptp(stain, axis=2).max() > 50
    assert len(files["cover.jpg"]) < 500_000  # bioimage.io's limit
    (tmp_path / "thin.zip").unlink()
    _, files = exported(tmp_path, NETWORKS["2d"], sample, modality="phase contrast")
    assert "cover.jpg" not in files
    assert not exporting._shows(sample, card_of(thin_network(), voxel_size=(1, 1, 1)))


def test_extremes_are_those_that_our_scaling_leaves_out():
    assert EXTREMES == CLIP


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("BSD-3-Clause", "BSD-3-Clause"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("GPL-3.0", "GPL-3.0-only"),
        ("mit", "MIT"),
        ("not stated in the file", None),
        ("GPL-3.0 (repository)", None),
    ],
)
def test_a_licence_becomes_an_spdx_id_where_it_is_one(text, id_):
    assert spdx(text) == id_


@given(st.floats(1e-3, 1e3), st.integers(1, 64), st.integers(1, 10_000))
def test_a_reader_computes_the_right_size_from_the_scales(voxel, ratio, planes):
    """It rounds n·scale/scale down."""
    card = card_of(thin_network(), voxel_size=(voxel, 0.29, 0.29))
    sizes = Interface(ratio, (planes, 8, 8), (8, 8, 8), 0)
    for n, inner, outer, more in zip(
        (planes, 456), *_scales(card, sizes), (ratio, 1), strict=False
    ):
        assert int(n * inner / outer) == n * more


# Refusals ---------------------------------------------------------------------------


def test_nothing_is_replaced_unasked_and_nothing_half_is_left(tmp_path, sample):
    path = save_random(tmp_path / "thin.safetensors", NETWORKS["2d"])
    out = tmp_path / "thin.zip"
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already"):
        export_bioimageio(path, out, sample)

    def stop(_done, _total=None, what=""):
        if what == "writing the package":
            raise Cancelled

    with pytest.raises(Cancelled):
        export_bioimageio(path, out, sample, overwrite=True, progress=stop)
    assert out.read_bytes() == b"precious"
    assert sorted(tmp_path.iterdir()) == [path, out]
    export_bioimageio(path, out, sample, overwrite=True)
    assert zipfile.is_zipfile(out)
    with pytest.raises(OutputError, match=r"ends in \.zip"):
        export_bioimageio(path, tmp_path / "thin.tar", sample)
    with pytest.raises(OutputError, match="no folder"):
        export_bioimageio(path, tmp_path / "none" / "thin.zip", sample)


@pytest.mark.parametrize(
    ("kind", "ratio", "ratios", "words"),
    [
        ("3to2d", 16, (1, 8), "not trained for ratio 16; choose from 1, 8"),
        ("3to2d", 3, (1, 8), "no multiple of ratio 3"),
        ("postfix", 1, (1, 2), "made for ratio 2 alone"),
    ],
)
def test_a_ratio_that_cannot_be_is_refused(
    tmp_path, sample, kind, ratio, ratios, words
):
    with pytest.raises(InputError, match=words):
        exported(tmp_path, NETWORKS[kind], sample, ratio, ratios=ratios)


def test_what_a_package_cannot_hold_is_refused(tmp_path, sample, monkeypatch):
    three = NetworkConfig(**{**SMALL, "inputs": 3}, backbone="plain", topology="3d")
    with pytest.raises(ModelError, match="takes 3 channels"):
        exported(tmp_path, three, sample)
    with monkeypatch.context() as changed:
        changed.setattr(exporting, "SCALINGS", ("zscore",))
        with pytest.raises(ModelError, match=r"\(robust\) that bioimage.io has not"):
            exported(tmp_path, NETWORKS["2d"], sample)
    monkeypatch.setattr(exporting, "LARGEST", 1000)
    with pytest.raises(ModelError, match="kernels of each structure"):
        exported(tmp_path, NETWORKS["repmode"], sample)


def test_a_network_whose_trace_has_fixed_sizes_is_refused(
    tmp_path, sample, monkeypatch
):
    from napari_sparsessp.networks.standalone import Standalone

    def fixed(self, x):
        return self.network(x[:, :1]) * torch.ones(x.shape[3:]).sum().item()

    monkeypatch.setattr(Standalone, "forward", fixed)
    config = thin_network(inputs=1)
    with pytest.raises(ModelError, match="cannot be written as TorchScript"):
        exported(tmp_path, config, sample)
    assert not (tmp_path / "thin.zip").exists()


# What others say of it --------------------------------------------------------------


def installed(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def broken_together():
    """bioimageio.spec 0.5.12, which core 0.11 pins, fails beside pydantic 2.14."""
    spec = installed("bioimageio.spec") or ""
    return spec.startswith("0.5.12.") and version("pydantic") >= "2.14"


@pytest.mark.skipif(
    installed("bioimageio.spec") is None or broken_together(),
    reason="needs bioimageio.spec >= 0.5.14, or run tools/check_bioimageio.py",
)
@pytest.mark.parametrize("kind", ["3d", "3to2d"])
def test_bioimageio_finds_no_fault(tmp_path, sample, kind):
    from bioimageio.spec import load_description

    exported(tmp_path, NETWORKS[kind], sample, 2)
    summary = load_description(tmp_path / "thin.zip").validation_summary
    assert [one.msg for part in summary.details for one in part.errors] == []
    assert summary.status in ("passed", "valid-format")


@pytest.mark.skipif(
    installed("bioimageio.core") is None or broken_together(),
    reason="bioimageio.core and pydantic 2.14 exclude each other so far: "
    "run tools/check_bioimageio.py",
)
@pytest.mark.parametrize("kind", ["3d", "3to2d"])
def test_bioimageio_computes_the_same(tmp_path, sample, kind):
    from bioimageio.core import test_description

    exported(tmp_path, NETWORKS[kind], sample, 2)
    summary = test_description(tmp_path / "thin.zip", devices=["cpu"])
    assert [one.msg for part in summary.details for one in part.errors] == []
    assert summary.status == "passed"

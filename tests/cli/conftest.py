"""A small stack, a small model and a way to run the command line."""

import numpy as np
import pytest
import tifffile
import torch

from napari_sparsessp.cli.main import app_main
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.store import save_model
from napari_sparsessp.networks import NetworkConfig, build_network

STEP = 0.29
"""µm; the small model's grid, as that of the shipped ones."""


@pytest.fixture
def sparsessp(capfd):
    """Run `sparsessp` with these arguments: exit code, stdout, stderr."""

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            app_main([str(argument) for argument in arguments])
        said = capfd.readouterr()
        return end.value.code, said.out, said.err

    return run


@pytest.fixture
def refused(sparsessp):
    """Run and check that it ends with code 2 and one line, which is returned."""

    def run(*arguments):
        code, out, err = sparsessp("--quiet", *arguments)
        assert code == 2, err
        assert out == ""
        lines = [line for line in err.splitlines() if "sparsessp: warning:" not in line]
        assert len(lines) == 1, err
        assert lines[0].startswith("sparsessp: error: ")
        assert "Traceback" not in err
        return lines[0]

    return run


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """Path of a model with two structures and random weights."""
    torch.manual_seed(0)
    config = NetworkConfig(
        outputs=2,
        depth=8,
        encoder_widths=(4, 4),
        encoder_blocks=(1, 1),
        decoder_widths=(4, 8, 8),
        folded_width=8,
    )
    card = ModelCard(
        id="small",
        version="1",
        name="Small",
        licence="BSD-3-Clause",
        structures=("dna", "golgi_apparatus"),
        topology=config.topology,
        mapping=config.mapping,
        projection=config.projection,
        conditioning=config.conditioning,
        network=config.model_dump(mode="json"),
        voxel_size=(STEP, STEP, STEP),
        patch=(8, 32, 32),
        ratios=(1, 2, 4, 8),
        modality="bright-field",
        normalisation="z-score",
        trained_on="nothing",
    )
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    return save_model(path, build_network(config), card)


@pytest.fixture
def stack(tmp_path):
    """Path of an 8-plane stack on the small model's grid; call it for variations."""
    return write_stack(tmp_path / "stack.ome.tif", a_stack())


def a_stack(planes=8, size=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(100, 4000, (planes, size, size), dtype=np.uint16)


def write_stack(path, array, axes="ZYX", voxel_size=(STEP, STEP, STEP), channels=None):
    metadata = {"axes": axes}
    if voxel_size is not None:
        for axis, size in zip("ZYX", voxel_size, strict=True):
            metadata[f"PhysicalSize{axis}"] = size
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    if channels is not None:
        metadata["Channel"] = {"Name": list(channels)}
    photometric = "rgb" if axes.endswith("S") else "minisblack"
    tifffile.imwrite(path, array, ome=True, photometric=photometric, metadata=metadata)
    return path

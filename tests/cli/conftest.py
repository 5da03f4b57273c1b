"""A small stack, a small model and a way to run the command line."""

import pytest
import torch

from images import STEP, a_stack, write_stack
from napari_sparsessp.cli.main import app_main
from napari_sparsessp.models.card import ModelCard
from napari_sparsessp.models.store import save_model
from napari_sparsessp.networks import NetworkConfig, build_network


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
    """Path of an 8-plane stack on the small model's grid."""
    return write_stack(tmp_path / "stack.ome.tif", a_stack())

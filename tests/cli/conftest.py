"""A small stack, a small model and a way to run the command line."""

import pytest

from images import a_stack, write_stack
from napari_sparsessp.cli.main import app_main
from thin import save_random, thin_network


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
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    names = ("dna", "golgi_apparatus")
    return save_random(path, thin_network(), name="Small", structures=names)


@pytest.fixture
def stack(tmp_path):
    """Path of an 8-plane stack on the small model's grid."""
    return write_stack(tmp_path / "stack.ome.tif", a_stack())

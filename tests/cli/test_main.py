import pytest

from napari_sparsessp import __version__
from napari_sparsessp.cli import main
from napari_sparsessp.errors import InputError


@pytest.mark.parametrize(
    "command", [[], ["demo"], ["predict"], ["evaluate"], ["models", "list"]]
)
def test_version_and_help_are_everywhere(sparsessp, command):
    assert sparsessp(*command, "--version") == (0, f"sparsessp {__version__}\n", "")
    code, out, _ = sparsessp(*command, "--help")
    assert code == 0
    for option in ("--quiet", "--debug", "--version"):
        assert option in out


def test_no_command_shows_the_help(sparsessp):
    code, out, _ = sparsessp()
    assert code == 0
    assert "predict" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["predict"],
        ["predict", "x.tif", "--frob"],
        ["predict", "x.tif", "--out"],
        ["predict", "x.tif", "--out", "y.ome.tif", "--ratio", "many"],
        ["predict", "x.tif", "--out", "y.ome.tif", "--voxel-size", "1,2"],
        ["predict", "x.tif", "--out", "y.ome.tif", "--voxel-size", "1,2,nan"],
        ["predict", "x.tif", "--out", "y.ome.tif", "--tile", "8,0,8"],
        ["evaluate", "only-one.tif"],
    ],
)
def test_a_wrong_option_is_one_line_and_code_2(refused, arguments):
    assert "see sparsessp --help" in refused(*arguments)


def test_a_mendable_error_shows_its_origin_only_with_debug(sparsessp, monkeypatch):
    def fail(*_args, **_options):
        raise InputError("no good;\n  mend it")

    monkeypatch.setattr(main, "app", fail)
    assert sparsessp() == (2, "", "sparsessp: error: no good; mend it\n")
    code, _, err = sparsessp("--debug")
    assert code == 2


def test_a_bug_is_a_traceback_and_code_1(sparsessp, monkeypatch):
    def fail(*_args, **_options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(main, "app", fail)
    code, _, err = sparsessp()
    assert code == 1
    assert "Traceback" in err
    assert "ZeroDivisionError: a bug" in err


def test_an_interrupt_is_one_line(sparsessp, monkeypatch):
    def interrupt(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "app", interrupt)
    code, _, err = sparsessp()
    assert code == 130
    assert err.count("\n") == 1

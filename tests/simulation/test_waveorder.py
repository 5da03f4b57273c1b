"""The simulator's bright-field against waveorder's, a published implementation.

The numbers in data/waveorder.npz are from tools/waveorder_reference.py; where
waveorder is installed they are made again and compared.
"""

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_sparsessp.simulation import optics
from napari_sparsessp.simulation.parameters import draw_parameters

ROOT = Path(__file__).parents[2]
STORED = Path(__file__).parent / "data" / "waveorder.npz"


def _script():
    path = ROOT / "tools" / "waveorder_reference.py"
    spec = importlib.util.spec_from_file_location("waveorder_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = _script()


def ours(objective, condenser):
    """The same quantities as the script's `transfer`, from the simulator."""
    p = replace(
        draw_parameters(1),
        objective_na=objective,
        condenser_na=condenser,
        wavelength=script.WAVELENGTH,
        medium=script.MEDIUM,
    )
    step = 1 / (script.PIXELS * script.VOXEL / script.FINER)
    q = torch.arange(int(0.5 / script.VOXEL / step) + 1) * step
    half = script.PLANES // 2
    kernel = optics.weak_object_transfer(p, half + 1, script.VOXEL, q)
    kernel = kernel * torch.hann_window(script.PLANES, periodic=False)[:, None]
    kernel = torch.fft.ifftshift(kernel, dim=0)
    change = -4 * math.pi / script.WAVELENGTH * script.VOXEL
    index = change * torch.fft.fft(kernel.imag, dim=0).imag
    absorption = change * torch.fft.fft(kernel.real, dim=0).real
    return index.numpy(), absorption.numpy()


def agreement(mine, theirs):
    """Correlation, and root-mean-square difference over root-mean-square."""
    correlation = np.corrcoef(mine.ravel(), theirs.ravel())[0, 1]
    return correlation, np.linalg.norm(mine - theirs) / np.linalg.norm(theirs)


@pytest.mark.parametrize("part", ["index", "absorption"])
@pytest.mark.parametrize("number", range(len(script.APERTURES)))
@pytest.mark.parametrize(("edge", "bound"), [(optics.SOFT_PUPIL, 0.07), (0.01, 0.02)])
def test_bright_field_is_transferred_as_by_waveorder(
    monkeypatch, number, part, edge, bound
):
    """In sign, in size and in shape, over all frequencies, with nothing fitted.

    What difference there is comes from the soft edge of the simulator's pupil.
    """
    monkeypatch.setattr(optics, "SOFT_PUPIL", edge)
    mine = dict(
        zip(("index", "absorption"), ours(*script.APERTURES[number]), strict=True)
    )
    correlation, error = agreement(mine[part], np.load(STORED)[part][number])
    print(f"{script.APERTURES[number]} {part}: {correlation:.4f}, {error:.1%}")
    assert correlation > 0.998
    assert error < bound


def test_the_stored_numbers_are_those_of_waveorder():
    pytest.importorskip("waveorder", reason="pip install --no-deps waveorder==3.0.2")
    stored = np.load(STORED)
    for number, apertures in enumerate(script.APERTURES):
        index, absorption = script.transfer(*apertures)
        np.testing.assert_allclose(index, stored["index"][number], atol=1e-3)
        np.testing.assert_allclose(absorption, stored["absorption"][number], atol=1e-3)

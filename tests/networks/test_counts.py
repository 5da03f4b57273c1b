"""Parameters and multiply-adds are those of the published networks."""

import pytest

from napari_sparsessp.networks import NetworkConfig
from napari_sparsessp.networks.cost import count_cost

REPMODE = {"backbone": "plain", "conditioning": "repmode", "kernel": 5}
NARROW = (32, 64, 128, 256, 256)


@pytest.mark.parametrize(
    ("config", "parameters", "gmac"),
    [
        ({"backbone": "fnet", "topology": "3d", "outputs": 1}, 23_280_769, 120.34),
        ({"backbone": "gvt", "outputs": 1}, 6_172_225, 106.64),
        ({**REPMODE, "topology": "3d"}, 123_877_633, 546.18),
        ({**REPMODE, "topology": "3to2d", "projection": "code"}, 198_883_264, 238.10),
    ],
    ids=["FNet", "GVTNet", "RepMode", "SparseSSP as released"],
)
def test_published_networks_have_their_published_size(config, parameters, gmac):
    """One structure, 32×128×128 (models.md 1.1)."""
    cost = count_cost(NetworkConfig(**config), [0])
    assert cost.parameters == parameters
    assert cost.gmac == pytest.approx(gmac, abs=0.005)


@pytest.mark.parametrize(
    ("config", "millions", "gmac"),
    [
        ({"encoder_widths": NARROW, "topology": "3d"}, 15.67, 119.37),
        ({"topology": "3d", "kernel": 5}, 100.15, 546.18),
        ({"topology": "2d"}, 8.13, 3.37),
        ({"topology": "2to3d"}, 13.67, 85.36),
        ({"topology": "3to2d"}, 18.04, 40.34),
        (
            {"encoder_widths": NARROW, "decoder_widths": (64, 128, 128, 256)},
            11.49,
            43.34,
        ),
        ({"encoder_widths": NARROW, "decoder_widths": (256,) * 4}, 16.01, 76.83),
    ],
    ids=["3d", "3d k5", "2d", "2to3d", "3to2d", "3to2d wide", "3to2d 256"],
)
def test_plain_networks_of_every_topology(config, millions, gmac):
    """As counted independently (models.md 1.1)."""
    cost = count_cost(NetworkConfig(backbone="plain", outputs=1, **config))
    assert cost.parameters / 1e6 == pytest.approx(millions, abs=0.006)
    assert cost.gmac == pytest.approx(gmac, abs=0.006)


def test_dodnet_trunk_is_that_of_table_6():
    """113.867 GMAC without the dynamic head, which hook-based counters miss."""
    config = NetworkConfig(backbone="dod", topology="3d", conditioning="dodnet")
    voxels = 32 * 128 * 128
    one, all_twelve = count_cost(config, [0]), count_cost(config)
    head = (8 * 8 + 8 * 8 + 8) * voxels / 1e9
    controller = (256 + 12) * 153 / 1e9
    trunk = one.gmac - head - controller
    assert trunk == pytest.approx(113.867, abs=0.0005)
    assert all_twelve.gmac / one.gmac == pytest.approx(1.007, abs=0.001)


@pytest.mark.parametrize(
    ("config", "gmac", "millions"),
    [
        ({"topology": "2d"}, 2.89, 5.92),
        ({"topology": "2d", "ratio": 2}, 2.82, 5.92),
        ({"topology": "2to3d"}, 41.17, 7.17),
        ({"topology": "2to3d", "ratio": 2}, 41.09, 7.17),
        ({"topology": "3to2d", "projection": "2d"}, 76.68, 16.7),
        ({"topology": "3to2d"}, 76.16, 16.2),
    ],
    ids=["2d", "2d raw", "2to3d", "2to3d raw", "3to2d 2D", "3to2d 3D"],
)
def test_dodnet_of_every_topology(config, gmac, millions):
    """Within the dynamic head, which models.md 1.1 leaves out."""
    network = NetworkConfig(backbone="dod", conditioning="dodnet", **config)
    cost = count_cost(network, [0])
    outputs = 1 if network.decoder_3d else 32
    voxels = 128 * 128 * (32 if network.decoder_3d else 1)
    head = (8 * 16 + 8 * outputs) * voxels / 1e9
    controller = (256 + 12 + 1) * (8 * 18 + 9 * outputs)
    assert cost.gmac - head == pytest.approx(gmac, abs=0.006)
    assert (cost.parameters - controller) / 1e6 == pytest.approx(millions, abs=0.06)

"""How colours look to people who see fewer of them, and how far they are apart."""

import numpy as np

# Machado, Oliveira & Fernandes 2009, "A physiologically-based model for simulation of
# color vision deficiency", severity 1.0, for linear RGB
VISION = {
    "normal": np.eye(3),
    "protanope": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranope": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def linear(codes):
    """``"#rrggbb"`` as linear RGB, shape (n, 3)."""
    rgb = np.array([[int(c[k : k + 2], 16) / 255 for k in (1, 3, 5)] for c in codes])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def distances(codes, vision):
    """CIEDE2000 between all pairs as these eyes see them; infinite to itself."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    seen = np.clip(linear(codes) @ VISION[vision].T, 0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(seen)
    found = deltaE_ciede2000(lab[:, None], lab[None])
    np.fill_diagonal(found, np.inf)
    return found


def contrast(one, other):
    """Ratio of luminances of two colours, 1 to 21 (WCAG 2)."""
    weights = (0.2126, 0.7152, 0.0722)
    first, second = linear([one, other]) @ weights
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)

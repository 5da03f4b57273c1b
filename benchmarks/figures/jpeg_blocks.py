"""Measure how often real fields are taken for JPEG, as they are and once they are.

    python -m benchmarks.figures.jpeg_blocks --data FOLDER

Fields of several sizes are cut at random out of the images in FOLDER. Prints the table
from which docs/domain-shift.md quotes.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.figures.domain_shift import jpeg
from napari_sparsessp import load_volume
from napari_sparsessp.prediction.domain_shift import STRONGEST_BLOCKS, recording_traits

SIDES = (32, 48, 64, 96, 128, 200)
FIELDS, PLANES = 6, 8  # of each image and size, at most


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    chance = np.random.default_rng(0)
    taken: dict[int, list[list[bool]]] = {side: [] for side in SIDES}
    for path in sorted(parser.parse_args().data.glob("*.*i*")):
        stack = load_volume(path, time=0)
        for channel in range(stack.sizes.get("C", 1)):
            planes = stack.channel(channel).planes(range(min(PLANES, stack.shape[-3])))
            for side in [s for s in SIDES if s <= min(planes.shape[1:])] * FIELDS:
                y, x = (int(chance.integers(n - side + 1)) for n in planes.shape[1:])
                cut = planes[:, y : y + side, x : x + side]
                if cut.std():
                    looks = (cut, jpeg(cut, 30).astype(float))
                    blocks = [recording_traits([look])["blocks"] for look in looks]
                    taken[side].append([b > STRONGEST_BLOCKS for b in blocks])
    print("| side | fields | as they are | JPEG, quality 30 |\n|---|---|---|---|")
    for side, rows in taken.items():
        plain, packed = (f"{share:.1%}" for share in np.mean(rows, axis=0))
        print(f"| {side} | {len(rows)} | {plain} | {packed} |")


if __name__ == "__main__":
    main()

"""A process of test_distributed: trains a tiny network and leaves its weights."""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from conftest import PLAIN, TINY
from napari_sparsessp.networks import build_network
from napari_sparsessp.training.distributed import join_group
from napari_sparsessp.training.loop import TrainingPlan, train
from napari_sparsessp.training.patches import Pair


def learn(group, folder, steps):
    """Train so many steps in a folder, or go on with it; gives the network."""
    look = np.random.default_rng(0).normal(size=(1, 12, 40, 40)).astype(np.float16)
    # Of different weights at first: the main process's have to count.
    torch.manual_seed(group.rank)
    network = build_network(TINY)
    plan = TrainingPlan(
        0, steps, batch=2, learning_rate=4e-3, warm_up=0.1, precision="fp32",
        save_steps=20,
    )  # fmt: skip
    reports = []
    train(
        network,
        [Pair(look, np.concatenate([look, -look]))],
        PLAIN,
        plan,
        folder,
        validate=lambda network: {"r2": float(group.rank)},
        listen=reports.append,
        group=group,
    )
    return network.state_dict(), len(reports)


def main():
    """Train, go on in the same folder, and leave what came out of both."""
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    group = join_group("cpu")
    first, reports = learn(group, folder, 60)
    group.wait()
    again, _ = learn(group, folder, 80)
    end = {"first": first, "again": again, "reports": reports, "count": group.count}
    torch.save(end, folder / f"rank{group.rank}.pt")
    group.leave()


if __name__ == "__main__":
    main()

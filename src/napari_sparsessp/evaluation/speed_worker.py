"""The fresh process in which a network's cost is counted, or its speed is measured.

Takes one line of JSON on standard input and answers with lines of JSON. It ends when
standard input is closed, so that none outlives the command that started it.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from napari_sparsessp.evaluation.resident import resident_mib

REPEATS = 3
"""A time is the best of at least so many passes after a warm-up …"""

SETTLED, MOST = 1.0, 20
"""… of more where they take less than a second together, but not of more than 20 …"""

PATIENCE = 20.0
"""… or of fewer, at least one, where they take more seconds than this."""


def count(job: dict[str, Any]) -> None:
    """Answer one line for the machine, then one for each network."""
    import torch

    from napari_sparsessp.networks import NetworkConfig
    from napari_sparsessp.networks.cost import count_cost
    from napari_sparsessp.prediction.device import choose_precision

    bf16 = choose_precision("auto", torch.device("cpu")) == "bf16"
    _answer({"torch": torch.__version__, "bf16": bf16})
    size = tuple(job["size"])
    for values in job["networks"]:
        config = NetworkConfig.model_validate(values)
        one = count_cost(config, [0], size)
        counted = {"parameters": one.parameters, "gmac_one": one.gmac}
        if config.outputs > 1:
            counted["gmac_all"] = count_cost(config, None, size).gmac
        _answer(counted)


def measure(job: dict[str, Any]) -> None:
    """Build one network, predict a patch, answer with seconds and MiB."""
    import torch

    from napari_sparsessp.networks import NetworkConfig, build_network

    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    config = NetworkConfig.model_validate(job["network"])
    shape = (1, config.inputs, config.planes, *job["size"])
    # In memory as the engine has it.
    x = torch.randn(shape).contiguous(memory_format=torch.channels_last_3d)
    bf16 = torch.autocast("cpu", torch.bfloat16)
    before = resident_mib("VmRSS")
    network = build_network(config).eval()
    with torch.inference_mode(), bf16 if job["precision"] == "bf16" else nullcontext():
        if config.conditioning == "repmode":
            measured = _merged_times(network, x, job["repeats"])
        else:
            measured = _times(network, x, job["repeats"])
    measured["base_mib"] = before
    for name in ("peak_one_mib", "peak_all_mib"):
        if name in measured:
            measured[name] -= before
    _answer(measured)


def _times(network: Any, x: Any, repeats: int) -> dict[str, Any]:
    """Seconds and peaks of one structure and of all."""
    runs = [partial(network, x, [0])]
    runs[0]()
    measured = {"peak_one_mib": resident_mib("VmHWM")}
    if network.config.outputs > 1:
        runs.append(partial(network, x))
        runs[1]()
        measured["peak_all_mib"] = resident_mib("VmHWM")
    times = _best(runs, repeats)
    # Keys without a second run are left out.
    for name, (seconds, tries) in zip(("one", "all"), times, strict=False):
        measured |= {f"seconds_{name}": seconds, f"repeats_{name}": tries}
    return measured


def _merged_times(network: Any, x: Any, repeats: int) -> dict[str, Any]:
    """Do the same with RepMode, whose merging is measured by itself.

    The merged kernels of all structures may be more than are kept, so each structure
    is warmed up and measured before the next.
    """
    merging = _merging_seconds(network)
    times, peaks = [], []
    for structure in range(network.config.outputs):
        run = partial(network, x, [structure])
        run()
        times += _best([run], repeats)
        peaks.append(resident_mib("VmHWM"))
    return {
        "seconds_one": times[0][0],
        "repeats_one": times[0][1],
        "seconds_all": sum(seconds for seconds, _ in times),
        "repeats_all": min(tries for _, tries in times),
        "seconds_merge": merging,
        "peak_one_mib": peaks[0],
        "peak_all_mib": peaks[-1],
    }


def _merging_seconds(network: Any) -> float:
    """Seconds to mix the experts of one structure and fold batch norm in, once."""
    from napari_sparsessp.networks.unet import merge

    return _best([partial(merge, network, 0)], 2)[0][0]


def _best(
    runs: Sequence[Callable[[], object]], repeats: int
) -> list[tuple[float, int]]:
    """Seconds of the fastest pass of each, and how many were tried.

    They take turns, so that a busy moment of the machine spoils none alone.
    """
    times: list[list[float]] = [[] for _ in runs]
    while len(times[0]) < MOST and any(
        len(mine) < repeats or sum(mine) < SETTLED for mine in times
    ):
        if times[0] and sum(map(sum, times)) > PATIENCE * len(runs):
            break
        for run, mine in zip(runs, times, strict=True):
            began = time.perf_counter()
            run()
            mine.append(time.perf_counter() - began)
    return [(min(mine), len(mine)) for mine in times]


def _answer(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    # Not through sys.stdin: a thread that holds it would abort Python's shutdown.
    while os.read(0, 1024):
        pass
    os._exit(1)


def _first_line() -> str:
    line = bytearray()
    while not line.endswith(b"\n"):
        part = os.read(0, 1)
        if not part:
            raise SystemExit(1)
        line += part
    return line.decode()


def main() -> None:
    """Do the one job that comes in."""
    job = json.loads(_first_line())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if job["task"] in ("count", "measure"):
        {"count": count, "measure": measure}[job["task"]](job)
    else:
        from napari_sparsessp.evaluation.field_worker import TASKS

        _answer(TASKS[job["task"]](job))


if __name__ == "__main__":
    main()

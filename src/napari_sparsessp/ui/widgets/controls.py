"""The controls of a dock, where a message names an option of the command line."""

import re

_MEMORY = "“Memory, at most” under More…"
_CONTROLS = {
    "device": "“on this device”",
    "id": "“Name”",
    "mask-invalid": "“Leave out NaN and infinite values” under More…",
    "memory-limit": _MEMORY,
    "model": "the list of models",
    "out": "“Save”",
    "overwrite": "“Start over”",
    "ratio": "the sparsity ratio",
    "resume": "“Resume”",
    "structures": "the table of structures",
    "tile": _MEMORY,
    "topology": "the topology",
    "truth": "the Truth column",
    "voxel-size": "“Correct voxel size…”",
}
# with the value that it is given, in digits or capitals
_OPTION = re.compile(r"--([a-z][a-z-]*)(?:[ =][A-Z0-9][\w.,:=/\[\]]*)?")
_COMMAND = re.compile(r"\bsparsessp [a-z -]*--[^);,]*")


def dock_words(text: str) -> str:
    """Name the controls of a dock in place of options; others lose their dashes."""

    def control(match: re.Match[str]) -> str:
        option = match[1].rstrip("-")
        return _CONTROLS.get(option, f"“{option.replace('-', ' ')}”")

    return _OPTION.sub(control, _COMMAND.sub("on the command line", text))

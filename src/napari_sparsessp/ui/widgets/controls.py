"""The controls of a dock, where a message names an option or a field of a config."""

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
_FIELDS = {
    "recipe.learning_rate": "the learning rate under More",
    "recipe.patch": "the patch under More",
    "set recipe.precision to fp32": "choose the CPU",
    "recipe.batch": "the patch under More",
    "choose another out": "choose another id",
    "check data.pairs.path": "choose another list or folder",
    ", or say with data.pairs.root where they begin": " in the list",
    ", or data.pairs.structure to the config": " to the list",
    "or change validation.share or validation.gap": "or another share or axis",
    ", or set validation.share to 0": ", or choose an end in x or y",
    "keep back a part of it (validation.by: x or y), or nothing "
    "(validation.share: 0)": "choose an end in x or y",
    "; set model.voxel_size if they differ on purpose": "",
    "validation.share": "the share of the validation region",
}

# with the value that it is given, in digits or capitals
_OPTION = re.compile(r"--([a-z][a-z-]*)(?:[ =][A-Z0-9][\w.,:=/\[\]]*)?")
_COMMAND = re.compile(r"\bsparsessp [a-z -]*--[^);,]*")


def dock_words(text: str) -> str:
    """Name the controls of a dock in place of options; others lose their dashes."""
    for name, words in _FIELDS.items():
        text = text.replace(name, words)

    def control(match: re.Match[str]) -> str:
        option = match[1].rstrip("-")
        return _CONTROLS.get(option, f"“{option.replace('-', ' ')}”")

    return _OPTION.sub(control, _COMMAND.sub("on the command line", text))

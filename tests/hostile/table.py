"""All rows of docs/generated/bad-inputs.md, and the page made of them."""

import re
from collections.abc import Mapping

from hostile import (
    cases_files,
    cases_models,
    cases_ome,
    cases_options,
    cases_tiff,
    cases_zarr,
)
from hostile.desk import Case

SECTIONS: Mapping[str, list[Case]] = {
    "Files, folders and names": cases_files.CASES,
    "TIFF": cases_tiff.CASES,
    "OME-XML": cases_ome.CASES,
    "OME-Zarr": cases_zarr.CASES,
    "Models, cards and checkpoints": cases_models.CASES,
    "Options, requests and lists": cases_options.CASES,
}

HEAD = """# Bad inputs: what was tried, and what each got

Every row is a test (`pytest tests/hostile`). A row in ordinary type is refused with
exit code 2 and exactly this line after `sparsessp: error: `; nothing is written and
nothing is run. A row in *italics* is predicted, and equals the plain stack's
prediction to the last digits; the warnings that come with it stand beside it. Reasons
in brackets are the words of other packages, or of this machine, and may differ.

This page is written by `python tools/bad_inputs.py`; a test compares it with what
really happens.
"""


def page(told: Mapping[tuple[str, str], str]) -> str:
    """Write the page from what the user gets for each section and row."""
    parts = [HEAD]
    for section, cases in SECTIONS.items():
        parts.append(f"\n## {section}\n\n| given | the user gets |\n|---|---|\n")
        for case in cases:
            given = f"*{case.given}*" if case.accepted else case.given
            parts.append(f"| {given} | {cell(told[section, case.given])} |\n")
    return "".join(parts)


def cell(text: str) -> str:
    """Make a line fit into a table."""
    text = text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    return f"{text[:400]}…" if len(text) > 400 else text or "the prediction"


def rows(text: str) -> dict[tuple[str, str], str]:
    """Read the page: section and row to what the user gets."""
    found, section = {}, ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:]
        parts = re.split(r"(?<!\\)\|", line)
        if len(parts) == 4 and "---" not in line and parts[1] != " given ":
            found[section, parts[1].strip().strip("*")] = parts[2].strip()
    return found


def plain(text: str) -> str:
    """Leave out what other packages and this machine say: brackets and numbers."""
    return re.sub(r"\(.*\)(?=[;,.: ]|$)|\d+(\.\d+)?(e[+-]?\d+)?", "…", text)

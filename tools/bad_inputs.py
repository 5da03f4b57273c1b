"""Write docs/generated/bad-inputs.md from what each bad input really gets.

    python tools/bad_inputs.py

Runs every row of tests/hostile/table.py once and writes the line that came.
"""

import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from hostile import table  # noqa: E402 - the tests hold the rows
from hostile.desk import Desk, little_memory, make_model, run  # noqa: E402

PAGE = ROOT / "docs" / "generated" / "bad-inputs.md"


def main() -> None:
    """Run every row and write the page."""
    told = {}
    with tempfile.TemporaryDirectory() as place:
        model = make_model(Path(place) / "small.safetensors")
        for section, cases in table.SECTIONS.items():
            for case in cases:
                with tempfile.TemporaryDirectory() as folder:
                    desk = Desk(Path(folder), model)
                    arguments = case.make(desk)
                    with little_memory():
                        outcome = run(arguments)
                    said = outcome.told(desk.folder, model.parent)
                    wanted = 0 if case.accepted else 2
                    if outcome.code != wanted or not re.search(case.said, said):
                        sys.exit(f"{section}, {case.given}: {outcome.err}")
                    told[section, case.given] = said
    PAGE.write_text(table.page(told), encoding="utf-8")
    print(f"{PAGE}: {len(told)} rows")


if __name__ == "__main__":
    main()

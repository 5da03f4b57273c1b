"""Tables in Markdown, and the pages between whose markers they are put."""

from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GENERATED = DOCS / "generated"


def markdown(table: Sequence[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """Lay out a table, headings first; columns of `numbers` to the right."""
    right = set(numbers)
    marks = ["---:" if i in right else "---" for i in range(len(table[0]))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (table[0], marks, *table[1:]))


def filled(page: str, name: str, text: str) -> str:
    """Put a text between its markers, ``<!-- name -->`` and ``<!-- /name -->``."""
    before, opening, rest = page.partition(f"<!-- {name} -->\n")
    _, closing, after = rest.partition(f"<!-- /{name} -->")
    if not opening or not closing:
        raise SystemExit(f"the page has no markers <!-- {name} --> … <!-- /{name} -->")
    return f"{before}{opening}{text}\n{closing}{after}"


def fill(path: Path, sections: Iterable[tuple[str, str]]) -> None:
    """Rewrite the generated parts of a page."""
    page = path.read_text("utf-8")
    for name, text in sections:
        page = filled(page, name, text)
    path.write_text(page, "utf-8")

"""Documents can be read in an evening, use few terms, and lead to places that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MOST_WORDS, MOST_TERMS, MOST_WORDS_OF_THE_HOUSE = 16_000, 40, 900
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def words(*pages: Path) -> int:
    """Count words as ``wc -w`` does: tables and code too."""
    return sum(len(page.read_text(encoding="utf-8").split()) for page in pages)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def test_an_evening_is_enough():
    assert words(ROOT / "README.md", *DOCS.glob("*.md")) <= MOST_WORDS
    assert words(DOCS / "architecture.md") <= MOST_WORDS_OF_THE_HOUSE


def test_the_glossary_is_short():
    rows = re.findall(
        r"^\| \*\*(.+?)\*\*", (DOCS / "glossary.md").read_text("utf-8"), re.M
    )
    assert 0 < len(rows) <= MOST_TERMS
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    lost = []
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue  # elsewhere
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_is_linked():
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in LINK.findall(page.read_text(encoding="utf-8"))
    }
    assert [page.name for page in DOCS.rglob("*.md") if page not in linked] == []


def test_files_that_are_named_exist():
    """Paths of this repository, in backquotes."""
    named = re.compile(
        r"`((?:tests|benchmarks|recipes|tools|docs|src)/[\w./-]+\.\w+"
        r"|(?:networks|prediction|io|models|simulation|evaluation|training|cli|ui)"
        r"/[\w/]+\.py)`"
    )
    package = ROOT / "src" / "napari_sparsessp"
    lost = [
        f"{page.name}: {name}"
        for page in PAGES
        for name in named.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / name).exists() and not (package / name).exists()
    ]
    assert lost == []

"""Style, script and parts of pages that need nothing else: no library, no network."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from napari_sparsessp.structures import structure_or_custom

# Whatever a file name or a channel may hold, the page loads nothing from anywhere.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'"
)

STYLE = """
:root { color-scheme: light; --ink: #20242c; --faint: #667; --line: #dcdfe5; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 28px 60px; max-width: 1240px; color: var(--ink);
  background: #fff; font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; }
h2 { font-size: 17px; margin: 34px 0 8px; }
h3 { font-size: 15px; margin: 18px 0 6px; }
.faint, figcaption, .note { color: var(--faint); font-size: 13px; }
.answer { font-size: 18px; margin: 18px 0; padding: 12px 16px; background: #f3f5f8;
  border-left: 4px solid #3566b0; }
.early { border-left-color: #d64820; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid var(--line);
  font-size: 14px; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid var(--ink); font-weight: 600; }
tr.stick td { color: var(--faint); }
tr.ceiling td { font-weight: 600; border-bottom: 2px solid var(--line); }
.figure { width: 100%; height: auto; }
.bar { position: sticky; top: 0; z-index: 2; background: #fffffff2; padding: 10px 0;
  display: flex; flex-wrap: wrap; gap: 8px 26px; align-items: center;
  border-bottom: 1px solid var(--line); }
.bar input[type=range] { width: 320px; }
.bar output { display: inline-block; min-width: 20em; }
.row { display: grid; grid-template-columns: repeat(4, 1fr); gap: 10px; }
.row figure { margin: 0; }
.row img { width: 100%; display: block; background: #000; image-rendering: pixelated; }
.picture { position: relative; }
.scale { position: absolute; right: 3%; bottom: 4%; height: 3px; background: #fff;
  box-shadow: 0 0 3px #000; }
.key { display: inline-block; width: 90px; height: 10px; vertical-align: middle;
  background: linear-gradient(90deg, #266ed2, #fff, #d64820); }
.provenance td { text-align: left; white-space: normal; overflow-wrap: anywhere;
  vertical-align: top; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font-size: 12px; }
@media (max-width: 800px) { .row { grid-template-columns: repeat(2, 1fr); } }
"""

SCRIPT = """
const data = JSON.parse(document.getElementById('data').textContent);
const slider = document.getElementById('z');
const own = document.getElementById('own');
function show() {
  const index = Number(slider.value), z = data.planes[index];
  const ratio = document.querySelector('input[name=ratio]:checked').value;
  const known = data.measured[ratio];
  document.getElementById('where').textContent =
    `plane ${z + 1} of ${data.depth}, ${(z * data.step).toFixed(1)} ${data.unit}` +
    (known === null ? '' : known.includes(z) ? ': imaged' : ': left out');
  for (const image of document.querySelectorAll('img[data-kind]')) {
    let kind = image.dataset.kind;
    if (kind === 'prediction') kind = own.checked ? 'own' : 'same';
    const fixed = kind === 'light' || kind === 'truth';
    const structure = kind === 'light' ? '' : image.dataset.structure;
    image.src = data.pictures[[kind, structure, fixed ? 0 : ratio].join('|')][index];
  }
  for (const text of document.querySelectorAll('[data-score]')) {
    const r2 = data.r2[text.dataset.score][ratio][z];
    text.textContent = r2 === null || r2 === undefined ? '–' : r2.toFixed(2);
  }
}
for (const input of document.querySelectorAll('.bar input'))
  input.addEventListener('input', show);
show();
"""


def document(title: str, parts: Iterable[str], content: Any) -> str:
    """Give a whole page as HTML text.

    Parameters
    ----------
    title : str
        Not escaped yet.
    parts : iterable of str
        HTML, escaped where it must be.
    content : JSON-able
        What the script reads.
    """
    # A structure's name must not end the script that carries it.
    data = json.dumps(content, allow_nan=False).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>"
        + "\n".join(parts)
        + f'\n<script type="application/json" id="data">{data}</script>'
        f"\n<script>{SCRIPT}</script></body></html>\n"
    )


def table(
    heading: Sequence[str], rows: Iterable[tuple[str, str, Sequence[str]]]
) -> str:
    """Give a table of (class, label, cells)."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heading)
    body = "".join(
        f'<tr class="{kind}"><td>{escape(label)}</td>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for kind, label, cells in rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def provenance(rows: dict[str, str]) -> str:
    """Give the table of how the page came about."""
    body = "".join(
        f"<tr><td>{escape(key)}</td><td><pre>{escape(value)}</pre></td></tr>"
        for key, value in rows.items()
    )
    return f'<table class="provenance"><tbody>{body}</tbody></table>'


def pictures(
    name: str, width: float, light: str, truth: str = "truth", unit: str = "µm"
) -> str:
    """Give light, truth, prediction and error of a structure, for the script to fill.

    Parameters
    ----------
    name : str
        Id of the structure.
    width : float
        Of a picture, in `unit`.
    light : str
        Caption of the transmitted light.
    truth : str
        What the prediction is held against.
    unit : str
    """
    label = escape(structure_or_custom(name).label)
    length = max(
        (one for one in (1, 2, 5, 10, 20, 50, 100, 200, 500) if one <= width / 3),
        default=1,
    )
    scale = f'<div class="scale" style="width:{100 * length / width:.2f}%"></div>'
    captions = {
        "light": f"{light}; bar {length} {unit}",
        "truth": f"{label}, {escape(truth)}",
        "prediction": "Predicted; R² in this plane "
        f'<b data-score="{escape(name)}"></b>',
        "error": 'Error: too dark <span class="key"></span> too bright',
    }
    figures = "".join(
        f'<figure><div class="picture"><img alt="{escape(kind)}" data-kind="{kind}" '
        f'data-structure="{escape(name)}">{scale if kind == "light" else ""}</div>'
        f"<figcaption>{caption}</figcaption></figure>"
        for kind, caption in captions.items()
    )
    return f'<h3>{label}</h3><div class="row">{figures}</div>'


def number(value: Any) -> str:
    """Write a score with three digits, or a dash."""
    return "–" if value is None else f"{value:.3f}".replace("-", "−")

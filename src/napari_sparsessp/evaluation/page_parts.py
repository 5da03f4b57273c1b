"""Style and script of the sweep's page: no library, no network."""

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
  const measured = data.measured[ratio].includes(z);
  document.getElementById('where').textContent =
    `plane ${z + 1} of ${data.depth}, ${(z * data.step).toFixed(1)} µm: ` +
    (measured ? 'imaged' : 'left out');
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

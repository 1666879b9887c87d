"""Pictures as a browser draws them: Debian's chromium, without a screen, measures every text and every frame."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

import numaprobe
from numaprobe.drawing import draw

FIXTURES = Path(__file__).parents[1] / "fixtures"

# Texts that leave the picture or their card, and pairs of texts that cover each other, by the browser's own measures.
MEASURE = """
<script>
const found = [];
const picture = document.querySelector('svg').getBoundingClientRect();
const texts = [...document.querySelectorAll('svg text')].map(e => [e.textContent, e.getBoundingClientRect()]);
const cards = [...document.querySelectorAll('svg rect.card')].map(e => e.getBoundingClientRect());
for (const [words, box] of texts) {
  if (box.left < picture.left - 1 || box.right > picture.right + 1 || box.bottom > picture.bottom + 1)
    found.push('outside: ' + words);
  for (const card of cards)
    if (box.left >= card.left && box.left < card.right && box.top >= card.top && box.bottom <= card.bottom + 1
        && box.right > card.right) found.push('cut: ' + words);
}
for (let i = 0; i < texts.length; i++)
  for (let j = i + 1; j < texts.length; j++) {
    const a = texts[i][1], b = texts[j][1];
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
      found.push('overlap: ' + texts[i][0] + ' / ' + texts[j][0]);
  }
document.body.setAttribute('data-found', JSON.stringify({texts: texts.length, found: found}));
</script></body>"""


def browser(place: Path) -> list[str]:
    """The start of a command line."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium here (Debian's chromium): tests/lab/install installs it")
    return [found, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={place}/profile"]


@pytest.mark.servers
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["hmat-two-tiers", "sixteen-nodes-64-cpus", "xen-4.17-two-nodes-hole", "fake-wide"])
def test_no_text_is_cut_or_covered(name: str, scheme: str, tmp_path: Path) -> None:
    """Chromium's fonts are the judge, in a light and a dark setting; the screenshot is not empty."""
    host = numaprobe.probe(recording=FIXTURES / name / "host.tar.gz", caches=True)
    page = tmp_path / "page.html"
    page.write_text(draw(host, form="html").replace("</body>", MEASURE), "utf-8")
    words = browser(tmp_path)
    if scheme == "dark":
        words.append("--blink-settings=preferredColorScheme=0")
    shot = tmp_path / "page.png"
    words += ["--window-size=1240,1400", f"--screenshot={shot}", "--dump-dom", page.as_uri()]
    run = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    told = re.search(r'data-found="([^"]*)"', run.stdout)
    assert told is not None, run.stderr[-500:]
    measured = json.loads(unescape(told[1]))
    assert measured["texts"] > len(host.cells)
    assert measured["found"] == []
    assert shot.stat().st_size > 5000

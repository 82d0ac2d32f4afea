"""How wide a page becomes in a window of some width, measured by Chromium."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom")
SCRIPT = """<script>
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, wide = page.documentElement.clientWidth, beyond = [];
    for (const one of page.body.querySelectorAll("*"))
      if (one.getBoundingClientRect().right > wide + 1 && !one.closest(".scroll, .visually-hidden, .skip"))
        beyond.push(`${one.tagName}.${one.getAttribute("class")}: ${one.textContent.slice(0, 20)}`);
    return [wide, page.documentElement.scrollWidth, beyond.slice(0, 12)];
  });
  const shown = Object.assign(document.createElement("pre"), {id: "found", textContent: JSON.stringify(found)});
  document.body.replaceChildren(shown);
});
</script>"""


def page_widths(page: str, windows: Sequence[int], folder: Path) -> list[tuple[int, int, list[str]]]:
    """Return, for each width of a window in px, that width, the page's, and elements that reach beyond it."""
    assert CHROMIUM is not None
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace("<details", "<details open")
    frames = [
        f'<iframe style="border:0;width:{width}px" height=900 srcdoc="{html.escape(page)}"></iframe>' for width in windows
    ]
    file = folder / "frames.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{SCRIPT}<body>{''.join(frames)}", encoding="utf-8")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=20000", file.as_uri()]
    written = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    match = re.search(r'<pre id="found">(.*?)</pre>', written, re.DOTALL)
    assert match, written[:500]
    return [tuple(entry) for entry in json.loads(html.unescape(match[1]))]

"""What Chromium makes of a page: its width in a window, tables that are cut, requests, findings of axe-core, its print."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
AXE = "axe_playwright_python"
"""Package that brings axe.min.js; `.ci/libraries` installs it."""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
CUT = """
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, wide = page.documentElement.clientWidth, beyond = [];
    const say = (what, one) =>
      beyond.push(`${what} ${one.tagName}.${one.getAttribute("class")}: ${one.textContent.slice(0, 20)}`);
    for (const one of page.body.querySelectorAll("*"))
      if (one.getBoundingClientRect().right > wide + 1 && !one.closest(".visually-hidden, .skip")) say("beyond", one);
    for (const one of page.querySelectorAll(".scroll"))
      if (one.scrollWidth > one.clientWidth + 1) say("cut", one);
    return [wide, page.documentElement.scrollWidth, beyond.slice(0, 12)];
  });
  show(found);
});"""
FINDINGS = """
addEventListener("load", async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  const brief = one => ({id: one.id, impact: one.impact, nodes: one.nodes.map(node => node.html.slice(0, 160))});
  show({violations: found.violations.map(brief), tested: found.passes.length});
});"""
REQUESTS = """
addEventListener("load", () => show(performance.getEntriesByType("resource").map(entry => entry.name)));"""
SHOW = """const show = found => document.body.replaceChildren(
  Object.assign(document.createElement("pre"), {id: "found", textContent: JSON.stringify(found)}));"""


def page_widths(page: str, windows: Sequence[int], folder: Path) -> list[tuple[int, int, list[str]]]:
    """Return, for each width of a window in px, that width, the page's, and what reaches beyond it or is cut."""
    page = POLICY.sub("", page).replace("<details", "<details open")
    frames = "".join(
        f'<iframe style="border:0;width:{width}px" height=900 srcdoc="{html.escape(page)}"></iframe>' for width in windows
    )
    return [tuple(entry) for entry in _told(f"<!doctype html><meta charset=utf-8><body>{frames}", CUT, folder)]


def axe_findings(page: str, folder: Path, *, dark: bool) -> dict[str, Any]:
    """Return what axe-core finds: `violations` with their impact, and how many rules `tested` something without one."""
    library = _axe()
    assert library is not None
    colours = ["--blink-settings=preferredColorScheme=0"] if dark else []
    page = page.replace("<details", "<details open")
    return _told(POLICY.sub("", page), library.read_text(encoding="utf-8") + FINDINGS, folder, *colours)


def requests(page: str, folder: Path) -> list[str]:
    """Return the addresses that the page loads anything from, without its policy that forbids it."""
    return _told(POLICY.sub("", page), REQUESTS, folder)


def printed(page: Path, folder: Path) -> bytes:
    """Return the page as Chromium prints it (PDF)."""
    file = folder / "print.pdf"
    _chromium(folder, "--no-pdf-header-footer", f"--print-to-pdf={file}", page.as_uri())
    return file.read_bytes()


def has_axe() -> bool:
    """Return whether axe-core is installed."""
    return _axe() is not None


def _axe() -> Path | None:
    """Return axe.min.js of the installed package, which is not imported: it would want a browser of its own."""
    found = find_spec(AXE)
    places = found.submodule_search_locations if found else None
    return Path(places[0]) / "axe.min.js" if places else None


def _told(page: str, script: str, folder: Path, *flags: str) -> Any:
    """Return what a script that runs in the page shows."""
    file = folder / "page.html"
    file.write_text(f"{page}<script>{SHOW}{script}</script>", encoding="utf-8")
    written = _chromium(folder, "--virtual-time-budget=30000", *flags, "--dump-dom", file.as_uri())
    match = re.search(r'<pre id="found">(.*?)</pre>', written, re.DOTALL)
    assert match, written[:500]
    return json.loads(html.unescape(match[1]))


def _chromium(folder: Path, *arguments: str) -> str:
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout

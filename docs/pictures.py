"""Make the pictures of the docs from finished folders: `python docs/pictures.py runs/demo runs/reproduce-digits`.

Of a run: docs/results/report.webp is the first screen of the report in Chromium, digits.webp a sheet of real and synthetic
images. `tckr report runs/demo report.include_private=false` first writes the report as it may be shared.

Of a sweep over cardinality, or of `tckr reproduce digits`: docs/results/frontier.svg is the chart of accuracy against AUC.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FRONTIERS = ("frontier.svg", "frontier-0.svg")
"""Names of the chart of accuracy against AUC, as `tckr reproduce` and `tckr sweep` write it."""

WIDTH, HEIGHT = 1000, 1010
"""Window in px: as wide as the page's column, as high as its first screen."""


def photograph(page: Path, target: Path) -> None:
    """Write what a browser shows of the top of `page`."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit(f"found none of {', '.join(BROWSERS)}; install one, e.g. apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/profile"]
        size = [f"--window-size={WIDTH},{HEIGHT}", "--force-device-scale-factor=1.5", f"--screenshot={shot}"]
        subprocess.run([browser, *flags, *size, page.resolve().as_uri()], check=True, capture_output=True, timeout=240)
        with Image.open(shot) as picture:
            picture.convert("RGB").save(target, quality=60, method=6)


def picture_run(run: Path) -> None:
    """Write the pictures of a run: its report and a sheet of its images."""
    photograph(run / "report" / "report.html", RESULTS / "report.webp")
    sheet = [sys.executable, "-m", "examples.real_pictures.contact_sheet", run, "--output", RESULTS / "digits.webp"]
    subprocess.run(sheet, check=True, cwd=ROOT)


def main() -> None:
    """Write the pictures of each given folder."""
    for folder in (Path(argument).resolve() for argument in sys.argv[1:]):
        chart = next((folder / name for name in FRONTIERS if (folder / name).is_file()), None)
        if chart is None:
            picture_run(folder)
        else:
            shutil.copyfile(chart, RESULTS / "frontier.svg")


if __name__ == "__main__":
    main()

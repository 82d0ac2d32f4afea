"""Make the pictures of the first page from a finished run on a public set: `python docs/pictures.py runs/demo`.

docs/results/report.webp is the first screen of the report in Chromium, docs/results/digits.webp a sheet of real and
synthetic images. `tckr report runs/demo report.include_private=false` first writes the report as it may be shared.
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


def main() -> None:
    """Write both pictures."""
    run = Path(sys.argv[1]).resolve()
    photograph(run / "report" / "report.html", RESULTS / "report.webp")
    sheet = [sys.executable, "-m", "examples.real_pictures.contact_sheet", run, "--output", RESULTS / "digits.webp"]
    subprocess.run(sheet, check=True, cwd=ROOT)


if __name__ == "__main__":
    main()

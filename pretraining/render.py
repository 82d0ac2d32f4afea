"""Render the training world once: `python -m pretraining.render`.

Writes runs/bank.npz (distance fields of all glyphs), runs/images.npy (N, 32, 32, 3) uint8 and runs/rows.npy (N, 9) int8.
Block `k` of 512 scenes depends on its index alone, so the number of processes does not change the data.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from . import world
from .glyphs import Bank, build_bank

RUNS = Path(__file__).parent / "runs"
BLOCK = 512
ROOT_SEED = 1000


def load_bank(font_root: Path = Path("/usr/share/fonts"), processes: int = 2) -> Bank:
    """Return the bank of glyphs, built from the installed fonts on first use."""
    path = RUNS / "bank.npz"
    if not path.exists():
        RUNS.mkdir(exist_ok=True)
        build_bank(font_root, processes).save(path)
    return Bank.load(path)


def render_blocks(first: int, last: int) -> None:
    """Draw blocks `first` to `last` - 1 into the arrays on disk."""
    torch.set_num_threads(1)
    bank = load_bank()
    images = np.load(RUNS / "images.npy", mmap_mode="r+")
    rows = np.load(RUNS / "rows.npy", mmap_mode="r+")
    for k in range(first, last):
        part = slice(k * BLOCK, (k + 1) * BLOCK)
        images[part], rows[part] = world.scenes(BLOCK, bank, ROOT_SEED + k)


def main() -> None:
    """Render `--count` scenes (rounded up to complete blocks) with `--processes` processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share/fonts"))
    options = parser.parse_args()
    start = time.time()
    load_bank(options.fonts, options.processes)
    blocks = -(-options.count // BLOCK)
    np.lib.format.open_memmap(RUNS / "images.npy", "w+", np.uint8, (blocks * BLOCK, 32, 32, 3))
    np.lib.format.open_memmap(RUNS / "rows.npy", "w+", np.int8, (blocks * BLOCK, 9))
    edges = np.linspace(0, blocks, 8 * options.processes + 1).astype(int)
    with ProcessPoolExecutor(options.processes) as pool:
        list(pool.map(render_blocks, edges[:-1].tolist(), edges[1:].tolist()))
    print(f"{blocks * BLOCK} scenes in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()

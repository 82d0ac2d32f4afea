"""A thousand damaged pictures and some bombs: no traceback, each is kept or listed with a reason, and memory stays small."""

from __future__ import annotations

import io
import json
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, features

from tckr.artifacts.data_card import DataCard
from tests.stages.prepare.pictures import picture, prepared
from tests.stages.prepare.test_odd_files import png_chunk, raw_png, rejected

KINDS = [kind for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF") if kind != "AVIF" or features.check("avif")]
NUMBER = 1000
MOST_PIXELS = 10**6
MOST_MEMORY = 200 * 2**20
"""That the damaged pictures may take beside what a sound one takes; some of them claim terabytes."""


def whole(kind: str, seed: int) -> bytes:
    buffer = io.BytesIO()
    image = picture(seed, size=(24, 24))
    image = image.quantize(32) if kind == "GIF" else image
    options = {"compression": ("raw", "tiff_lzw", "tiff_deflate")[seed % 3]} if kind == "TIFF" else {}
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def flip(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.choice((1, 2, 5, 30))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def flip_early(data: bytearray, chance: random.Random) -> bytearray:
    """Damage the header, where sizes and offsets are."""
    for _ in range(chance.choice((1, 3))):
        data[chance.randrange(8, min(64, len(data)))] = chance.randrange(256)
    return data


def cut(data: bytearray, chance: random.Random) -> bytearray:
    return data[: chance.randrange(1, len(data))]


def blank(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.choice((4, 64, 400)))
    data[start:end] = bytes([chance.choice((0, 255))]) * (end - start)
    return data


def repeat(data: bytearray, chance: random.Random) -> bytearray:
    start = chance.randrange(len(data))
    return data[:start] + data[chance.randrange(len(data)) :] + data[start:]


def whole_again(data: bytearray, chance: random.Random) -> bytearray:
    """Append a second file: what follows the picture must not matter, or be said."""
    return data + data[chance.randrange(len(data)) :]


DAMAGES: list[Callable[[bytearray, random.Random], bytearray]] = [flip, flip_early, cut, blank, repeat, whole_again]


def damaged(number: int) -> tuple[str, bytes]:
    """Return the name and content of damaged picture `number`."""
    kind = KINDS[number % len(KINDS)]
    damage, chance = DAMAGES[number // len(KINDS) % len(DAMAGES)], random.Random(number)
    suffix = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    return f"{number:04}.{suffix}", bytes(damage(bytearray(whole(kind, number)), chance))


def tiff_of(width: int, height: int) -> bytes:
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    tags += [(277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 100)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + b"\0" * 100


SMALL = raw_png(24, 24, 8, 2, bytes(24 * 73))
HEADER, END = 33, 12
"""Bytes of a PNG before its first chunk of pixels, and of its last chunk."""


def bombs() -> dict[str, bytes]:
    """Return pictures that claim, or grow to, far more than they weigh."""
    zeros = zlib.compress(bytes(200_000_000))
    return {
        "sides.png": raw_png(60_000, 60_000, 8, 2, b"\0" * 100),
        "deep.png": raw_png(900, 900, 16, 6, b"\0" * 100),
        "text.png": SMALL[:HEADER] + png_chunk(b"zTXt", b"a\0\0" + zeros) + SMALL[HEADER:],
        "profile.png": SMALL[:HEADER] + png_chunk(b"iCCP", b"a\0\0" + zeros) + SMALL[HEADER:],
        "data.png": SMALL[:HEADER] + png_chunk(b"IDAT", zeros) + SMALL[-END:],
        "sides.gif": b"GIF89a"
        + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0)
        + bytes(6)
        + b",\0\0\0\0\xff\xff\xff\xff\0\2\2D\1\0;",
        "sides.bmp": b"BM"
        + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0)
        + bytes(64),
        "sides.tif": tiff_of(2**32 - 1, 2**32 - 1),
        "high.tif": tiff_of(24, 2**31),
        "sides.webp": whole("WEBP", 1)[:26] + struct.pack("<HH", 16_383, 16_383) + whole("WEBP", 1)[30:],
    }


def write_damaged(root: Path) -> list[str]:
    """Write the damaged pictures, the bombs, and enough sound ones for two classes; return the names of all."""
    files = [damaged(number) for number in range(NUMBER)] + list(bombs().items())
    files += [(f"sound{number}.png", whole("PNG", 5000 + number)) for number in range(40)]
    names = []
    for number, (name, content) in enumerate(files):
        names.append(f"{('cat', 'dog')[number % 2]}/{name}")
        (root / names[-1]).parent.mkdir(parents=True, exist_ok=True)
        (root / names[-1]).write_bytes(content)
    return names


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("damaged") / "data"
    return root, write_damaged(root)


def test_each_is_kept_or_listed_with_a_reason(data: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, names = data
    out = prepared(tmp_path, root, max_pixels=MOST_PIXELS)
    refused, card = rejected(out), DataCard.read(out)
    kept = sum(sum(counts.values()) for counts in card.counts.values())
    assert set(refused) <= set(names)
    assert kept + len(refused) == len(names)
    reasons = {reason for reason, _ in refused.values()}
    assert {"corrupt", "not_an_image", "too_many_pixels"} <= reasons
    assert not {"unreadable", "file_too_large"} & reasons
    assert 40 < kept < NUMBER  # some damage does not touch the pixels
    by_name = {name.rpartition("/")[2]: reason for name, (reason, _) in refused.items()}
    sides = [name.rpartition("/")[2] for name in names if "/sides." in name]
    assert len(sides) == 5
    assert all(by_name.get(name) in {"too_many_pixels", "corrupt", "not_an_image"} for name in sides)
    assert not any(name.rpartition("/")[2].startswith("sound") for name in refused)


MEASURED = """
import json, resource, sys
from pathlib import Path
from tckr.data.normalise import RejectedImageError, normalise_image, strict_pillow
def memory():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
files = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.is_file())
with strict_pillow():
    for path in [path for path in files if path.name.startswith("sound")]:
        normalise_image(path.read_bytes(), path.name, 32, int(sys.argv[2]))
    before = memory()
    for path in files:
        try:
            normalise_image(path.read_bytes(), path.name, 32, int(sys.argv[2]))
        except RejectedImageError:
            pass
print(json.dumps(memory() - before))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="ru_maxrss is POSIX")
def test_memory_stays_small(data: tuple[Path, list[str]]) -> None:
    command = [sys.executable, "-W", "ignore", "-c", MEASURED, str(data[0]), str(MOST_PIXELS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    assert json.loads(done.stdout) < MOST_MEMORY


def test_every_kind_is_damaged_in_every_way() -> None:
    tried = {(KINDS[number % len(KINDS)], number // len(KINDS) % len(DAMAGES)) for number in range(NUMBER)}
    assert len(tried) == len(KINDS) * len(DAMAGES)
    assert len(KINDS) >= 6
    with Image.open(io.BytesIO(whole("TIFF", 1))) as image:
        assert image.size == (24, 24)

"""Mark a PNG as synthetic with IPTC's DigitalSourceType in an XMP packet, and remove all other metadata.

A PNG is a signature and chunks: length (4 bytes), type (4), data, CRC-32 of type and data (4). Chunks whose type begins with
a capital letter are needed to show the image; all others (EXIF, time, texts) are removed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's code for an image made by a trained model."""

XMP_KEYWORD = b"XML:com.adobe.xmp"
PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def mark_png(png: bytes) -> bytes:
    """Return the PNG with the mark and without all other optional chunks."""
    header, *rest = ((kind, data) for kind, data in png_chunks(png) if kind[:1].isupper())
    assert header[0] == b"IHDR", header[0]
    text = XMP_KEYWORD + bytes(5) + PACKET.encode()  # keyword's end, not compressed (2), no language, no translated keyword
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in (header, (b"iTXt", text), *rest))


def png_chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and data of every chunk."""
    assert png.startswith(SIGNATURE), "not a PNG"
    place = len(SIGNATURE)
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        yield png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        place += length + 12


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

"""Two PNGs with the same MD5 that show different pictures, made of any two pictures.

Both files begin with blocks that collide by one bit: the length of a chunk that readers skip, 0x71 or 0x171 bytes. What
follows is the same in both. Behind the short chunk comes one that hides the first picture's chunks, so the second one's
are shown; the long chunk reaches over its head, right before the first one's. The blocks are public knowledge: Marc
Stevens computed them, and Ange Albertini found how to build pictures on them
(github.com/corkami/collisions, scripts/png1.bin and png2.bin).
"""

from __future__ import annotations

import struct
from hashlib import md5
from io import BytesIO
from zlib import crc32

from PIL import Image

SHORT = bytes.fromhex(
    "89504e470d0a1a0a00000033614c49474d4435206973202a7265616c6c792a1c64656164206e6f772021212121212120"
    "636f6c6c6973696f6e20626c6f636b733d3d3e2a72086100000071634f4c4c21f79e6511188bc7a960bc2e3e299cd326"
    "20f01b3dcfa756b49bb54df7f19cf258d1690753d009fbea349d9ba2957256da708e66679492c42f80f23b73eed341ac"
    "ad1907729e7b8897e508344e7c779d302cc78d39a4bdf42b295a771967642d51bd5dc18578752cbc35d6176e6c16418c"
)
LONG = bytes(byte ^ {0x49: 1, 0x89: 3}.get(place, 0) for place, byte in enumerate(SHORT))
PNG = b"\x89PNG\r\n\x1a\n"
TYPE = 0x4B  # where the type of the chunk stands, whose length differs
LONGER = 0x100  # bytes


def twins(first: Image.Image, second: Image.Image) -> tuple[bytes, bytes]:
    """PNGs of both pictures."""
    chunks = [_chunks(picture) for picture in (first, second)]
    ends = _crc(SHORT[TYPE:])
    size = LONGER - len(ends) - 8 + 4 + len(chunks[0])  # of the rest of the long chunk, its CRC, and the first picture
    head = ends + struct.pack(">I", size) + b"skIp"
    filler = bytes(LONGER - len(head))
    hidden = filler + _crc(LONG[TYPE:] + head + filler) + chunks[0]
    rest = head + hidden + _crc(b"skIp" + hidden) + chunks[1]
    made = LONG + rest, SHORT + rest
    assert md5(made[0], usedforsecurity=False).digest() == md5(made[1], usedforsecurity=False).digest()
    return made


def _chunks(picture: Image.Image) -> bytes:
    target = BytesIO()
    picture.save(target, "PNG")
    return target.getvalue().removeprefix(PNG)


def _crc(content: bytes) -> bytes:
    return struct.pack(">I", crc32(content))

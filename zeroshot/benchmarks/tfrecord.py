"""TFRecord files without TensorFlow: records with checked CRCs, and the fields of a message.

A record is its length (8 bytes, little-endian), the masked CRC-32C of these 8 bytes, the content,
and the masked CRC-32C of the content. Masked is rotated right by 15 bits, plus 0xa282ead8. A field
of a protobuf message is a varint, 8 times its number plus its wire type: 0 varint, 1 eight bytes,
2 a length and so many bytes, 5 four bytes.
"""

from __future__ import annotations

__all__ = ["fields", "masked_crcs", "records"]

import struct
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from zeroshot.benchmarks.source import Source
from zeroshot.errors import BenchmarkFileError

MAX_RECORD: Final = 1 << 20
BLOCK: Final = 4096
BLOCK_BYTES: Final = 1 << 23

_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli's, reflected


def _table() -> NDArray[np.uint32]:
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, (crc >> 1) ^ np.uint32(_POLYNOMIAL), crc >> 1)
    return crc


_TABLE: Final = _table()


def masked_crcs(contents: Sequence[bytes]) -> list[int]:
    """Masked CRC-32C of each content.

    All are taken together, byte by byte: the longest first, so that those that still have a byte
    come first.

    Examples
    --------
    >>> unmask = lambda crc: (crc - 0xa282ead8) % 2**32
    >>> rotated = unmask(masked_crcs([b"123456789"])[0])
    >>> hex((rotated << 15 | rotated >> 17) % 2**32)
    '0xe3069283'
    """
    lengths = np.array([len(content) for content in contents], np.int64)
    order = np.argsort(-lengths, kind="stable")
    longest = int(lengths.max(initial=0))
    padded = np.zeros((longest, len(contents)), np.uint8)
    for column, i in enumerate(order):
        padded[: lengths[i], column] = np.frombuffer(contents[i], np.uint8)
    n_left = len(contents) - np.searchsorted(-lengths[order], -np.arange(longest), side="left")
    n_left = len(contents) - n_left  # how many are longer than each position
    crc = np.full(len(contents), 0xFFFFFFFF, np.uint32)
    for position in range(longest):
        n = n_left[position]
        part = crc[:n]
        crc[:n] = _TABLE[(part ^ padded[position, :n]) & 0xFF] ^ (part >> np.uint32(8))
    crc ^= np.uint32(0xFFFFFFFF)
    masked = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)
    found = np.empty(len(contents), np.uint32)
    found[order] = masked
    return [int(value) for value in found]


def records(source: Source) -> Iterator[bytes]:
    """Contents of the records of a file, in order; a block's CRCs are compared before it.

    Raises
    ------
    BenchmarkFileError
        If the file is cut, a record is longer than `MAX_RECORD`, or a CRC differs.
    """
    first = 0
    while block := _block(source, first):
        yield from block
        first += len(block)


def _block(source: Source, first: int) -> list[bytes]:
    heads: list[bytes] = []
    contents: list[bytes] = []
    stored: list[int] = []
    n_bytes = 0
    while len(contents) < BLOCK and n_bytes < BLOCK_BYTES:
        where = f"{source.where}, record {first + len(contents)}"
        head = source.read(12)
        if not head:
            break
        if len(head) < 12:
            raise BenchmarkFileError(f"{where}: the file ends in it")
        length, crc = struct.unpack("<QI", head)
        if length > MAX_RECORD:
            # where the length's own CRC is wrong, that is what is to be said
            wrong = masked_crcs([head[:8]])[0] != crc
            raise BenchmarkFileError(
                f"{where}: the CRC of its length differs"
                if wrong
                else f"{where}: {length} bytes are declared, at most {MAX_RECORD} are allowed"
            )
        body = source.read(length + 4)
        if len(body) < length + 4:
            raise BenchmarkFileError(f"{where}: the file ends in it")
        heads.append(head[:8])
        contents.append(body[:length])
        stored += [crc, *struct.unpack("<I", body[length:])]
        n_bytes += length + 16
    found = [crc for pair in zip(masked_crcs(heads), masked_crcs(contents), strict=True)
             for crc in pair]  # fmt: skip
    for i, (one, other) in enumerate(zip(stored, found, strict=True)):
        if one != other:
            what = "content" if i % 2 else "length"
            raise BenchmarkFileError(
                f"{source.where}, record {first + i // 2}: the CRC of its {what} differs"
            )
    return contents


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protobuf message: an integer, or the bytes as they are.

    Raises
    ------
    ValueError
        If the message is cut or has a wire type that is not used any more.

    Examples
    --------
    >>> list(fields(b"\\x10\\x96\\x01\\x1a\\x02ab"))
    [(2, 150), (3, b'ab')]
    """
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        kind = key & 7
        if kind == 0:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if kind == 2:
            size, position = _varint(message, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a protobuf field has wire type {kind}")
        if size > end - position:
            raise ValueError(f"a protobuf field of {size} bytes is declared, {end - position} left")
        yield key >> 3, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for i in range(10):
        if position + i >= len(message):
            raise ValueError("a protobuf message ends in a number")
        byte = message[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + i + 1
    raise ValueError("a protobuf number has more than 10 bytes")

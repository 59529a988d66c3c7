"""Files of NAS-Bench-101, written as the project writes them, without TensorFlow.

The parts of a record and the numbers of its fields are those of google-research/nasbench
``nasbench/api.py`` and ``nasbench/lib/model_metrics.proto``; framing and checksums those of
TensorFlow's TFRecord documentation. CRCs are computed here bit by bit. The numbers are drawn here.
"""

from __future__ import annotations

import base64
import json
import random
import struct
from functools import cache
from typing import Any

from zeroshot.spaces import nasbench101

MODULES = (
    "adj=0101/0010/0001/0000;ops=input,conv3x3-bn-relu,conv1x1-bn-relu,output",
    "adj=011/001/000;ops=input,maxpool3x3,output",
    "adj=01100/00010/00010/00001/00000;ops=input,conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu,output",
)


@cache
def _byte(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


def masked_crc(content: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _byte((crc ^ byte) & 0xFF) ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return (crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8 & 0xFFFFFFFF


def framed(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return (
        length
        + struct.pack("<I", masked_crc(length))
        + content
        + struct.pack("<I", masked_crc(content))
    )


def varint(value: int) -> bytes:
    found = b""
    while value >= 0x80:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def field(number: int, value: Any) -> bytes:
    """A field of a message: double, integer or bytes by the type of `value`."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def metrics(evaluations: list[dict[int, Any]], params: int, total: float = 100.0) -> bytes:
    parts = [b"".join(field(n, v) for n, v in found.items()) for found in evaluations]
    return b"".join(field(1, part) for part in parts) + field(2, params) + field(3, total)


def evaluations(seed: object, epochs: int) -> list[dict[int, Any]]:
    rng = random.Random(str(seed))
    return [
        {
            1: float(epochs * half / 2),
            2: 900.5 * half,
            **{number: rng.uniform(0.1, 0.95) for number in (3, 4, 5)},
            6: b"/path/to/model.ckpt-%d" % half,
        }
        for half in range(3)
    ]


def record(module: str, epochs: int, repeat: int) -> bytes:
    adjacency, ops = module.removeprefix("adj=").split(";ops=")
    message = metrics(evaluations((module, epochs, repeat), epochs), 1_234_567)
    row = (
        nasbench101.module_hash(module),
        epochs,
        adjacency.replace("/", ""),
        ops,
        base64.b64encode(message).decode(),
    )
    return json.dumps(row).encode()


def tfrecord(modules: Any = MODULES, epochs: Any = (108,), repeats: int = 3) -> bytes:
    """As in the released file, trainings of a module are apart."""
    return b"".join(
        framed(record(module, epoch, repeat))
        for repeat in range(repeats)
        for epoch in epochs
        for module in modules
    )

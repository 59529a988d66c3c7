"""Arrays out of an npz file whose declared sizes are checked before anything is inflated.

An npz file is a zip of npy members. A few kB of zip can declare, and inflate to, any size, and
``numpy.load`` allocates what an npy header declares. Here the directory, each header and each
declared size are compared with a cap and with one another first; then exactly that many bytes are
inflated. Object arrays do not match the header's pattern, so nothing is ever unpickled.
"""

from __future__ import annotations

import io
import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.errors import BenchmarkFileError

__all__ = ["loads"]

MAX_MEMBERS = 10_000
MAX_HEADER = 10_000
DIRECTORY_ENTRY = b"PK\x01\x02"
# What numpy.save writes for plain numbers and text, up to spaces; numpy.lib.format has the layout.
HEADER = re.compile(
    rb"\{'descr': '([<>|=][iuf][1248]|[<>=]U[0-9]{1,6})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,18}, ?)*(?:[0-9]{1,18})?)\),? ?\}\s*"
)
DAMAGE = (
    ValueError, KeyError, IndexError, OverflowError, OSError, EOFError, RuntimeError,
    struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
)  # fmt: skip


def read_member(archive: zipfile.ZipFile, name: str, max_bytes: int) -> NDArray[Any]:
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"compression method {info.compress_type} is not stored or deflated")
    if info.file_size > max_bytes:
        raise ValueError(f"{info.file_size} bytes are declared, at most {max_bytes} are allowed")
    with archive.open(info) as member:
        preamble = member.read(8)
        if preamble[:6] != b"\x93NUMPY" or preamble[6:] not in (b"\x01\0", b"\x02\0", b"\x03\0"):
            raise ValueError("not an npy file of version 1 to 3")
        layout = "<H" if preamble[6] == 1 else "<I"
        (n_header,) = struct.unpack(layout, member.read(struct.calcsize(layout)))
        if n_header > MAX_HEADER:
            raise ValueError(f"the header has {n_header} bytes, at most {MAX_HEADER} are allowed")
        header = HEADER.fullmatch(member.read(n_header))
        if header is None:
            raise ValueError("the header does not describe an array of numbers or text")
        dtype = np.dtype(header[1].decode())
        shape = tuple(int(size) for size in header[3].split(b",") if size.strip())
        n_bytes = math.prod(shape) * dtype.itemsize
        n_before = len(preamble) + struct.calcsize(layout) + n_header
        if n_before + n_bytes != info.file_size:
            raise ValueError(f"shape {shape} of {dtype} does not fill {info.file_size} bytes")
        raw = member.read(n_bytes)
        if len(raw) != n_bytes or member.read(1):  # the second read also compares the checksum
            raise ValueError(f"{len(raw)} bytes are there, {n_bytes} are declared")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if header[2] == b"True" else "C")


def loads(
    data: bytes, source: str, choices: Iterable[tuple[str, ...]], *, max_bytes: int
) -> dict[str, NDArray[Any]]:
    """Read the first group of members that is complete.

    Parameters
    ----------
    data : bytes
        The whole npz file.
    source : str
        What the error message calls it, usually the path.
    choices : iterable of tuple of str
        Groups of member names, without ``.npy``; the first whose members all exist is read.
    max_bytes : int
        Largest sum of the members' declared sizes.

    Returns
    -------
    dict of str to ndarray
        The arrays of that group, read-only.

    Raises
    ------
    BenchmarkFileError
        If no group is complete, or a member is damaged, too large, or no array of numbers or text.
    """
    choices = list(choices)
    where = source
    try:
        if data.count(DIRECTORY_ENTRY) > MAX_MEMBERS:
            raise ValueError(f"more than {MAX_MEMBERS} members")
        arrays: dict[str, NDArray[Any]] = {}
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
            group = next((group for group in choices if set(group) <= set(names)), None)
            if group is None:
                wanted = " or ".join(", ".join(group) for group in choices)
                raise ValueError(f"expected arrays {wanted}; it has {', '.join(names)[:300]}")
            left = max_bytes
            for name in group:
                where = f"{source}: {name}"
                arrays[name] = read_member(archive, name, left)
                left -= arrays[name].nbytes
        return arrays
    except DAMAGE as error:
        raise BenchmarkFileError(f"{where}: {error}") from error

"""Files of ``torch.save``: a zip with ``data.pkl``, or, before PyTorch 1.6, pickles in a row.

Storages are passed over. The old form is, in that order: the pickles of a magic number, of the
version of the protocol and of the sizes of C's types, then that of the content, then that of the
storages' names, and the storages. tar files, which PyTorch wrote before 0.1.10, are not read.
"""

from __future__ import annotations

__all__ = ["load"]

import zipfile
from collections.abc import Callable
from typing import Any, Final

from zeroshot.benchmarks.source import DAMAGE, Source, brief
from zeroshot.benchmarks.streams import Dict, StreamMachine
from zeroshot.errors import BenchmarkFileError

MAGIC: Final = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
PROTOCOL: Final = 1001
MAX_MEMBERS: Final = 1_000_000


def load(source: Source, hook: Callable[[Dict], bool]) -> Any:
    """The content of a file; `hook` sees its dicts."""
    if source.peek(2) == b"PK":
        return _load_zip(source, hook)
    machine = StreamMachine(source.read, hook)
    if source.peek(len(MAGIC)) != MAGIC:
        return machine.guarded(source.where)
    source.read(len(MAGIC))
    version = machine.guarded(source.where)
    if version != PROTOCOL:
        raise BenchmarkFileError(f"{source.where}: expected torch's protocol {PROTOCOL}")
    machine.reset()
    machine.guarded(source.where)
    machine.reset()
    return machine.guarded(source.where)


def _load_zip(source: Source, hook: Callable[[Dict], bool]) -> Any:
    where = source.where
    try:
        with zipfile.ZipFile(source.path) as archive:
            found = [info for info in archive.infolist() if info.filename.endswith("/data.pkl")]
            if len(found) != 1 or len(archive.infolist()) > MAX_MEMBERS:
                raise ValueError(
                    f"expected a file of torch.save, with one data.pkl, found {len(found)}; other "
                    "archives have to be unpacked"
                )
            info = found[0]
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"compression method {info.compress_type} is not known")
            if info.file_size > source.max_bytes:
                raise ValueError(
                    f"{info.file_size} bytes are declared, at most {source.max_bytes} are allowed; "
                    "raise max_bytes to read them"
                )
            with archive.open(info) as member:
                machine = StreamMachine(lambda n: source.counted(member.read(n)), hook)
                content = machine.guarded(where)
                if machine.pos < len(machine.data) or member.read(
                    1
                ):  # which also compares the checksum
                    raise ValueError("data.pkl does not end where its value ends")
            return content
    except BenchmarkFileError:
        raise
    except OSError as error:
        if error.errno is not None and error.errno != 22:  # a seek to a damaged place is no fault
            raise
        raise BenchmarkFileError(f"{where}: damaged: {brief(error)}") from error
    except (*DAMAGE, TypeError) as error:
        raise BenchmarkFileError(f"{where}: {brief(error)}") from error

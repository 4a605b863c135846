"""The text of a file in whatever encoding: what is UTF-8 is read, what is another is named and read when asked for."""

from __future__ import annotations

import codecs
import gzip
import stat
import zlib
from pathlib import Path

from replicate.common.errors import UserError

# Of a file, unpacked; the largest public sets of this kind have some hundred MiB.
MOST = 1 << 30
# And of a packed one, so many times its size, which texts don't come near, beside what is little anyway.
_TIMES = 50
_LITTLE = 64 << 20
# A mark at the beginning tells what a file is; that of UTF-8 is its own.
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_text(path: Path, encoding: str | None = None) -> str:
    """The text of a file, unpacked where its name ends in .gz, with LF for every end of a line.

    Args:
        path: the file.
        encoding: what it is in; without one it has to be UTF-8.

    Raises:
        UserError: it can't be read, is too large, or is in another encoding; then it says in which.
    """
    data = _bytes_of(path)
    if not data.strip():
        raise UserError("empty file", path=path)
    known = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is None and known != "utf-16":
        encoding = known or "utf-8"
    if encoding is None or (encoding == "utf-8" and b"\0" in data[:4096]):
        hint = "`replicate data import --encoding utf-16` reads it"
        raise UserError("UTF-16 rather than UTF-8", path=path, hint=hint)
    try:
        text = data.decode("utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise UserError(
            f"no encoding {encoding!r}", hint="utf-8, gb18030, utf-16 and big5 are the usual ones"
        ) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        name = "gb18030" if _is_gbk(data) else "NAME"
        hint = f"`replicate data import --encoding {name}` reads it"
        what = "GBK rather than UTF-8" if _is_gbk(data) else f"not {encoding} (byte 0x{data[error.start]:02x})"
        raise UserError(what, path=path, line=line, hint=hint) from error
    except UnicodeError as error:
        raise UserError(f"not {encoding} ({error})", path=path) from error
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")


def unpacked_most(path: Path) -> int:
    """Bytes that a packed file may have when it is unpacked; OSError where there is none."""
    return min(MOST, max(_LITTLE, _TIMES * path.stat().st_size))


def _bytes_of(path: Path) -> bytes:
    opened, most = (gzip.open, unpacked_most(path)) if path.suffix == ".gz" else (open, MOST)
    try:
        # A pipe that the user names is read; a device may go on for ever.
        if not (stat.S_ISREG(mode := path.stat().st_mode) or stat.S_ISFIFO(mode) or stat.S_ISDIR(mode)):
            raise UserError("not a file", path=path)
        with opened(path, "rb") as file:
            data: bytes = file.read(most + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"not a whole gzip file ({error})", path=path) from error
    except OSError as error:
        raise UserError(f"can't read the file ({error.strerror or error})", path=path) from error
    if len(data) > most:
        raise UserError(f"larger than {most >> 20} MiB", path=path, hint="split it, and name the parts")
    return data


def _is_gbk(data: bytes) -> bool:
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return True

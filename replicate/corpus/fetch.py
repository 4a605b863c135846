"""Files from the network: checked against a known digest, within a size and a time, or not taken at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import socket
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from replicate.common.errors import UserError

ATTEMPTS = 3
# Of one answer of the server; and of the whole file, so that one byte a minute is not waited for.
TIMEOUT = 20.0
DEADLINE = 900.0
PAUSE = 1.0
_BLOCK = 1 << 16
_FINAL = range(400, 500)


class _Bad(Exception):
    """An attempt that may go better next time."""


def fetch(
    url: str, md5: str, most: int, *, timeout: float = TIMEOUT, deadline: float = DEADLINE, pause: float = PAUSE
) -> bytes:
    """The bytes at `url`, at most `most`, whose MD5 (all that upstream states) is `md5`.

    Args:
        url: http or https.
        md5: hexadecimal digest.
        most: bytes above which nothing is taken.
        timeout: seconds that the server may be silent.
        deadline: seconds for one attempt.
        pause: seconds before the second attempt, twice as many before the third.

    Raises:
        UserError: three attempts failed, or the server says that there is no such file.
    """
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * attempt)
        try:
            data = _get(url, most, timeout, deadline)
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"the server answers {error.code}"
            if error.code in _FINAL:
                break
            continue
        except (OSError, http.client.HTTPException, _Bad) as error:
            reason = str(error) or type(error).__name__
            continue
        found = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if found == md5:
            return data
        reason = f"MD5 is {found} and should be {md5}"
    raise UserError(f"can't be fetched: {reason}", path=url)


def _get(url: str, most: int, timeout: float, deadline: float) -> bytes:
    until, data = time.monotonic() + deadline, bytearray()
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        wanted = answer.headers.get("Content-Length", "")
        if wanted.isdecimal() and int(wanted) > most:
            raise _Bad(f"{wanted} bytes are more than the {most} expected")
        # read1 gives what has come: a slow server is noticed between its pieces.
        while block := answer.read1(_BLOCK):
            data += block
            if len(data) > most:
                raise _Bad(f"more than the {most} bytes expected")
            if time.monotonic() > until:
                raise _Bad(f"not whole after {deadline:.0f} seconds")
    if wanted.isdecimal() and len(data) != int(wanted):
        raise _Bad(f"{len(data)} of {wanted} bytes came")
    return bytes(data)


def members(archive: bytes, names: Sequence[str], most: int) -> dict[str, bytes]:
    """The named files of a ZIP archive, each at most `most` bytes; nothing else in it is looked at, or written.

    No name of the archive becomes a path, so none can lead out of a folder, and a link is just its text.

    Raises:
        UserError: no ZIP archive, a file is missing, damaged, encrypted or too large.
    """
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            for name in names:
                with file.open(name) as member:
                    # The size that the archive states may be a lie, so it is counted.
                    data = member.read(most + 1)
                if len(data) > most:
                    raise UserError(f"{name} in the archive is larger than {most} bytes")
                found[name] = data
    except KeyError as error:
        raise UserError(f"the archive lacks a file: {error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError, ValueError) as error:
        raise UserError(f"not an archive that can be read ({error})") from error
    return found


@contextlib.contextmanager
def no_network() -> Iterator[None]:
    """Whatever library asks for it, no connection is opened and no name looked up; sockets of this machine stay."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("no connection is opened offline")

    class Offline(socket.socket):
        def connect(self, address: Any) -> None:
            if self.family != getattr(socket, "AF_UNIX", None):
                refuse()
            super().connect(address)

        def connect_ex(self, address: Any) -> int:
            self.connect(address)
            return 0

    before = socket.socket, socket.getaddrinfo
    socket.socket, socket.getaddrinfo = Offline, refuse  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        socket.socket, socket.getaddrinfo = before  # type: ignore[misc]

"""A token that clients must show: whoever knows it may ask. It is no encryption; see docs/security.md."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from replicate.common.errors import UserError

VARIABLE = "REPLICATE_TOKEN"
# Probes of an orchestrator know no token, and learn nothing here.
OPEN = ("/live", "/ready")
# As RFC 6750 writes tokens; a shorter one could be guessed.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,256}", re.ASCII)
_REFUSAL = b'{"detail":"a token is needed: Authorization: Bearer \xe2\x80\xa6"}'


def read_token(path: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token of a file, or else of the variable REPLICATE_TOKEN; None where there is neither.

    Never of the command line, which everybody on the machine can see.

    Raises:
        UserError: the file can't be read, or what is there is no token.
    """
    if path is None:
        token, where = environment.get(VARIABLE), VARIABLE
        if token is None:
            return None
    else:
        where = str(path)
        try:
            with path.open("rb") as file:
                token = file.read(1024).decode("ascii").strip()
        except OSError as error:
            raise UserError(f"can't be read ({error.strerror})", path=path) from error
        except ValueError:
            token = ""
    if not _TOKEN.fullmatch(token):
        raise UserError("not a token", path=where, hint="it must be 16 to 256 letters, digits and ._~+/=-")
    return token


class TokenGuard:
    """An ASGI application that only answers who shows the token, and everybody who asks whether it lives.

    Args:
        app: what is guarded.
        token: what clients send as `Authorization: Bearer …`.
    """

    def __init__(self, app: Any, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode("ascii")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As ASGI calls it."""
        if scope["path"] in OPEN or self._shown(scope["headers"]):
            await self._app(scope, receive, send)
            return
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(_REFUSAL)).encode()),
            (b"www-authenticate", b"Bearer"),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": _REFUSAL})

    def _shown(self, headers: list[tuple[bytes, bytes]]) -> bool:
        sent = [value for name, value in headers if name == b"authorization"]
        # However much of it is right, the comparison takes as long.
        return len(sent) == 1 and hmac.compare_digest(sent[0], self._expected)

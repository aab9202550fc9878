"""Bearer tokens (RFC 6750): a file, mode 0600, with one a line. A token begins with its holder's name and a dot."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from helsewan.common.errors import InputError, Problem

OPERATOR = "operator"
_SECRET_BYTES = 32


def new_token(name: str = OPERATOR) -> str:
    """A new random token for ``name``."""
    return f"{name}.{secrets.token_urlsafe(_SECRET_BYTES)}"


def write_tokens(path: Path, tokens: Sequence[str]) -> None:
    """Creates the file, readable by this user alone. Raises OSError, also where it exists."""
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.writelines(f"{token}\n" for token in tokens)


def read_tokens(path: Path) -> tuple[str, ...]:
    """The tokens of a file. Raises InputError if other users can read it, or if it has no or malformed tokens."""
    if path.stat().st_mode & 0o077:
        raise InputError(Problem("--tokens", str(path), "is open to other users", "chmod 600"))
    tokens = tuple(path.read_text(encoding="utf-8").split())
    if not tokens or not all(name and secret for name, _, secret in (token.partition(".") for token in tokens)):
        raise InputError(Problem("--tokens", str(path), "holds no tokens", "write NAME.SECRET, one a line"))
    return tokens


def holder(tokens: Sequence[str], authorization: bytes) -> str | None:
    """The holder's name of the token in an Authorization header; None for an unknown token. All tokens are compared in
    constant time."""
    scheme, _, presented = authorization.partition(b" ")
    found = None
    for token in tokens:
        if hmac.compare_digest(token.encode(), presented.strip()) and scheme.lower() == b"bearer":
            found = token.partition(".")[0]
    return found

"""Makes a locale without UTF-8 harmless: file names and texts are UTF-8 whatever the locale, output never fails.

In the C locale without Python's UTF-8 mode, file names with letters such as ø are half characters, and files are opened
as ASCII.
"""

from __future__ import annotations

import codecs
import io
import os
import sys

ESCAPED = "helsewan-escaped"  # error handler of output: \\u00f8, which JSON reads as the character


def use_utf8() -> None:
    """Start this program again in Python's UTF-8 mode, if file names are ASCII; then make standard output safe."""
    if codecs.lookup(sys.getfilesystemencoding()).name == "ascii" and not sys.flags.utf8_mode:
        os.environ["PYTHONUTF8"] = "1"  # also for the programs that this one starts
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    codecs.register_error(ESCAPED, _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors=ESCAPED)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """The characters that the encoding of the output lacks, as UTF-16 escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join(f"\\u{int.from_bytes(pair, 'big'):04x}" for pair in pairs), error.end

"""Short, unique ASCII names made from arbitrary labels."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

MAX_LENGTH = 40
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PLAIN = str.maketrans({"æ": "ae", "ø": "o", "å": "a", "ß": "ss", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "œ": "oe"})


def slug(text: str) -> str:
    """``text`` in a to z, 0 to 9 and single dashes (``Mo i Rana`` -> ``mo-i-rana``); empty if nothing is left."""
    lower = text.casefold().translate(_PLAIN)
    plain = unicodedata.normalize("NFKD", lower).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_LENGTH].strip("-")


def is_name(text: str) -> bool:
    """Whether ``text`` is a valid name in all uses: files, sockets, commands, other tools' formats."""
    return _NAME.fullmatch(text) is not None


def unprintable(text: str) -> bool:
    """Whether ``text`` has control characters, line separators, or halves of characters: no file format holds those."""
    return any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or ord(char) & 0xFFFE == 0xFFFE for char in text)


@dataclass
class NameBook:
    """Allocates unique names; a name already taken gets the first free number as a suffix."""

    taken: set[str] = field(default_factory=set)
    _last: dict[str, int] = field(default_factory=dict)

    def name(self, wanted: str) -> str:
        """Allocate ``wanted``, or else ``wanted-2``, ``wanted-3`` and so on."""
        name = wanted
        while name in self.taken:
            self._last[wanted] = self._last.get(wanted, 1) + 1
            name = f"{wanted}-{self._last[wanted]}"
        self.taken.add(name)
        return name

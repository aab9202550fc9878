"""Lists of what is in a library: scenarios, policies."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from helsewan.common.terminal.screen import Screen
from helsewan.common.terminal.tables import print_table


def print_library(what: str, description: str, entries: Iterable[tuple[str, str]]) -> None:
    """Print names and descriptions, a row each, under the headings ``what`` and ``description``."""
    table = Table(box=None, pad_edge=False)
    table.add_column(what, style="bold")
    table.add_column(description)
    for name, description in entries:
        table.add_row(name, description)
    print_table(Screen(), table)

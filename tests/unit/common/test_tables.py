"""Tables are readable on terminals of any width: no header and no word is cut."""

from __future__ import annotations

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from helsewan.common.terminal.tables import print_table

WORD = st.text("abcdefghij-/0123456789", min_size=1, max_size=14)
TEXT = st.lists(WORD, min_size=1, max_size=8).map(" ".join)


def printed(table: Table, width: int) -> str:
    console = Console(file=StringIO(), width=width, emoji=False, highlight=False)
    print_table(console, table)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def table(headers: list[str], rows: list[list[str]], title: str | None = None) -> Table:
    made = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for header in headers:
        made.add_column(escape(header), overflow="fold")
    for row in rows:
        made.add_row(*map(escape, row))
    return made


@given(data=st.data(), width=st.integers(40, 200), columns=st.integers(1, 8))
def test_no_word_is_cut_at_any_width(data: st.DataObject, width: int, columns: int) -> None:
    headers = data.draw(st.lists(TEXT, min_size=columns, max_size=columns))
    rows = data.draw(st.lists(st.lists(TEXT, min_size=columns, max_size=columns), max_size=4))
    text = printed(table(headers, rows), width)
    assert "…" not in text and all(len(line) <= width for line in text.splitlines())
    words = text.split()
    for cell in [cell for row in rows for cell in row] + (headers if rows else []):
        assert set(cell.split()) <= set(words)


NAMES = ["region", "hospital", "gp", "pharmacy", "municipality", "service", "datacentre", "sites"]
ROWS = [["Midt-Norge", "10", "20", "3", "4", "5", "6", "48"], ["all", "10", "20", "3", "4", "5", "6", "48"]]


@pytest.mark.parametrize("width", [40, 60])
def test_a_wide_table_becomes_blocks(width: int) -> None:
    lines = [line.rstrip() for line in printed(table(NAMES, ROWS, "norway, seed 1"), width).splitlines()]
    assert lines[:4] == ["norway, seed 1", "region Midt-Norge", "  hospital     10", "  gp           20"]
    assert "  municipality 4" in lines and lines.count("  sites        48") == 2


def test_a_table_that_fits_stays_a_table() -> None:
    console = Console(file=StringIO(), width=120)
    console.print(table(NAMES, ROWS))
    assert printed(table(NAMES, ROWS), 120) == console.file.getvalue()  # type: ignore[attr-defined]


def test_one_long_text_is_wrapped_beside_short_columns() -> None:
    text = printed(
        table(["check", "detail"], [["gap", "of forty calls one is outside of the limit, worst is a to b"]]), 40
    )
    assert "check" in text and max(map(len, text.splitlines())) <= 40 and "worst" in text.split()


def test_empty_cells_and_brackets_in_blocks() -> None:
    text = printed(table(NAMES, [["[red]x[/]", "", "1", "", "", "", "", ""]]), 40)
    assert text.split() == ["region", "[red]x[/]", "gp", "1"]

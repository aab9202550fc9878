"""Tables on terminals of any width: where the columns do not fit, each row becomes a block of lines."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

LEAST_WRAPPED = 12  # columns of the terminal: a text in less is not readable
LEAST_BESIDE = 24  # for a cell beside its header


def print_table(console: Console, table: Table) -> None:
    """Print ``table`` as it is, with columns wrapped between words, or a block of lines for each row."""
    widths = [_width(console, [column.header, *column.cells]) for column in table.columns]
    natural = console.measure(table, options=console.options.update(width=10_000, max_width=10_000)).maximum
    if natural > console.width:
        least = [
            min(width, max(LEAST_WRAPPED, *(_longest_word(console, cell) for cell in [column.header, *column.cells])))
            for width, column in zip(widths, table.columns, strict=True)
        ]
        spare = console.width - (natural - sum(widths)) - sum(least)
        if spare < 0:
            _print_blocks(console, table)
            return
        wanted = sum(widths) - sum(least)
        for column, width, needed in zip(table.columns, widths, least, strict=True):
            column.width = needed + (width - needed) * spare // max(wanted, 1)
    console.print(table)


def _print_blocks(console: Console, table: Table) -> None:
    """Each row: its first cell on a line of its own, then the other cells that are not empty under their headers."""
    if table.title:
        console.print(table.title, style="italic", justify="left")
    names = [_text(console, column.header).plain for column in table.columns]
    label = max((cell_len(name) for name in names[1:]), default=0)
    cells = zip(*(column.cells for column in table.columns), strict=True)
    rows = [[_text(console, cell) for cell in row] for row in cells]
    for first, *rest in rows:
        head = Text(f"{names[0]} " if names and names[0] else "", style="dim")
        console.print(head + Text("", style="bold").append_text(first))
        for name, cell in zip(names[1:], rest, strict=True):
            if not cell.plain:
                continue
            if console.width >= label + LEAST_BESIDE or label + 4 + cell_len(cell.plain) <= console.width:
                line = Table.grid(padding=(0, 1, 0, 0))
                line.add_column(width=label, style="dim")
                line.add_column(overflow="fold")
                line.add_row(name, cell)
                console.print(Padding(line, (0, 0, 0, 2)))
            else:
                console.print(Padding(Text(f"{name} ", style="dim").append_text(cell), (0, 0, 0, 2)), overflow="fold")
    if rows:
        console.print()


def _text(console: Console, cell: object) -> Text:
    return cell if isinstance(cell, Text) else console.render_str(str(cell))


def _width(console: Console, cells: list[object]) -> int:
    return max((max(map(cell_len, _text(console, cell).plain.split("\n"))) for cell in cells), default=0)


def _longest_word(console: Console, cell: object) -> int:
    return max(map(cell_len, _text(console, cell).plain.split()), default=0)

# SPDX-License-Identifier: MIT
"""A table of figures, as Markdown and as data."""
from dataclasses import dataclass, field

from tools import Failed, NotInstalled


@dataclass
class Table:
    number: int
    title: str
    how: str
    columns: list
    rows: list = field(default_factory=list)
    targets: list = field(default_factory=list)

    def row(self, label, *cells):
        """A cell is a value, or a function, or (a function, how many values it gives).  Where a function
        cannot give a figure the row says why."""
        values = []
        for cell in cells:
            function, width = cell if isinstance(cell, tuple) else (cell, 1)
            try:
                got = function() if callable(function) else function
            except (NotInstalled, Failed) as e:
                got = [str(e)] * width
            values += got if isinstance(got, (tuple, list)) else [got]
        self.rows.append([label, *values])
        return values

    def target(self, wanted, measured, limit, upper=False):
        """What the project wants to reach, and how near it is."""
        known = len(numbers([measured, limit])) == 2
        met = None if not known else measured <= limit if upper else measured >= limit
        self.targets.append({"wanted": wanted, "measured": measured, "limit": limit, "met": met})

    def markdown(self):
        return "\n".join([f"## {self.number}. {self.title}", "", self.how, "",
                          *grid(self.columns, self.rows), ""])


def text(value):
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value)


def grid(columns, rows):
    yield "| " + " | ".join(columns) + " |"
    yield "|---|" + "---:|" * (len(columns) - 1)
    for row in rows:
        yield "| " + " | ".join(text(value) for value in row) + " |"


def numbers(values):
    return [v for v in values if isinstance(v, (int, float))]

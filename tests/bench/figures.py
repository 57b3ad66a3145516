"""A figure with what it must be and should be, and how a list of them is shown: on a terminal, in JSON, in the README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
SIGNS = {"aim": "met, aim too", "must": "met", "missed": "missed", "": ""}


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` in `unit`; `must` and `aim` are bounds from above, or from below where more is better; None: said only.

    `detail` is what stands behind the number: sample sizes, spread, conditions.
    """

    what: str
    value: float
    unit: str
    must: float | None = None
    aim: float | None = None
    more_is_better: bool = False
    detail: str = ""

    @property
    def verdict(self) -> str:
        """`aim`, `must`, `missed`, or "" when nothing is asked."""
        if self.aim is not None and self._reaches(self.aim):
            return "aim"
        if self.must is None:
            return ""
        return "must" if self._reaches(self.must) else "missed"

    def _reaches(self, bound: float) -> bool:
        return self.value >= bound if self.more_is_better else self.value <= bound

    def said(self, value: float | None) -> str:
        if value is None:
            return ""
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
        number = f"{value:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"
        return f"{number}{'' if self.unit in ('', 'x', '%') else ' '}{self.unit}"

    def bound(self, value: float | None) -> str:
        return "" if value is None else f"{'>=' if self.more_is_better else '<='} {self.said(value)}"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict}


def show(figures: Sequence[Figure], machine: str) -> None:
    """The table on a terminal."""
    from rich.console import Console
    from rich.table import Table

    colours = {"aim": "green", "must": "yellow", "missed": "red", "": "default"}
    table = Table(title=machine, title_justify="left", expand=True)
    for name, side in (("what", "left"), ("measured", "right"), ("must", "right"), ("aim", "right"), ("", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    table.add_column("", style="dim", ratio=1)
    for figure in figures:
        colour = colours[figure.verdict]
        table.add_row(
            figure.what, f"[{colour}]{figure.said(figure.value)}[/]", figure.bound(figure.must), figure.bound(figure.aim),
            f"[{colour}]{SIGNS[figure.verdict]}[/]", figure.detail,
        )  # fmt: skip
    Console(width=None if Console().is_terminal else 180).print(table)


def markdown(figures: Iterable[Figure], machine: str) -> str:
    """The same as a table for the README."""
    rows = ["| what | measured | must | aim | |", "|---|---:|---:|---:|---|"]
    for figure in figures:
        cells = (figure.what, f"**{figure.said(figure.value)}**", figure.bound(figure.must), figure.bound(figure.aim))
        rows.append(f"| {' | '.join(cells)} | {SIGNS[figure.verdict]} |".replace("<=", "≤").replace(">=", "≥"))
    return "\n".join([f"Measured with one run of `make bench` on: {machine}.", "", *rows])


def fill(readme: Path, text: str) -> None:
    """Put `text` between the README's two marks. Errors: ValueError when they are not there."""
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme} has no {BEGIN} ... {END} to fill")
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")

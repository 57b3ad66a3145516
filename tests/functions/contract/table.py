"""The table in `functions/CONTRACT.md`, from what the suite found.

    EDGE_CONTRACT_CLIENTS=python,node,go,shell,rust,java .venv/bin/pytest tests/functions/contract --junitxml=contract.xml
    .venv/bin/python -m tests.functions.contract.table contract.xml

Enters: JUnit reports. Leaves: the text between the marks, one line for each test.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.functions.contract.clients import CLIENTS, Client

CONTRACT = Path(__file__).parents[3] / "functions" / "CONTRACT.md"
BEGIN, END = "<!-- suite: begin -->", "<!-- suite: end -->"


def outcomes(reports: list[Path]) -> dict[str, dict[str, bool]]:
    """{test name: {language: passed}}, in the order of the reports."""
    found: dict[str, dict[str, bool]] = {}
    for report in reports:
        for case in ET.parse(report).getroot().iter("testcase"):
            name, bracket, language = str(case.get("name")).rstrip("]").partition("[")
            if bracket and ".contract." in f".{case.get('classname')}.":
                passed = not any(case.find(fault) is not None for fault in ("failure", "error", "skipped"))
                found.setdefault(name, {})[language] = passed
    return found


def cell(client: Client, test: str, passed: bool | None) -> str:
    """What stands in the table for one client's outcome of one test."""
    if not passed:
        return "not tried" if passed is None else "**no**"
    if test == "test_an_error_in_the_middle_of_the_answer_is_an_error" and client.breaks_as_text:
        return "no: as text"
    if test == "test_an_error_in_the_middle_of_the_answer_is_an_error" and client.breaks is None:
        return "never sends half"
    if test == "test_a_function_that_cannot_initialise_says_why_and_costs_no_attempt" and not client.reports_init:
        return "in its log"
    if test == "test_bytes_that_are_no_json_come_out_as_they_are" and 0 not in client.sends:
        return "but no zero byte"
    return "yes"


def table(found: dict[str, dict[str, bool]]) -> str:
    clients = CLIENTS.values()
    lines = [
        "| | " + " | ".join(client.language for client in clients) + " |",
        "|---|" + "---|" * len(clients),
        "| | " + " | ".join(f"`{client.library}`" for client in clients) + " |",
    ]
    for test, passed in found.items():
        words = test.removeprefix("test_").replace("_", " ")
        lines.append(f"| {words} | " + " | ".join(cell(one, test, passed.get(one.language)) for one in clients) + " |")
    return "\n".join(lines)


def fill(text: str, new: str) -> str:
    """`text` with `new` between the marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{new}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    told = table(outcomes([Path(report) for report in sys.argv[1:]]))
    CONTRACT.write_text(fill(CONTRACT.read_text(), told))

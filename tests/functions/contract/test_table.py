"""What `functions/CONTRACT.md` says was tried is what is tried."""

from __future__ import annotations

import re
from pathlib import Path

from tests.functions.contract.clients import CLIENTS
from tests.functions.contract.table import BEGIN, CONTRACT, END


def test_the_table_has_a_line_for_each_test_and_a_column_for_each_client() -> None:
    told = CONTRACT.read_text().split(BEGIN)[1].split(END)[0]
    tests = [
        name
        for path in Path(__file__).parent.glob("test_*.py")
        for name, arguments in re.findall(r"^def (test_\w+)\(([^)]*)\)", path.read_text(), re.MULTILINE)
        if "client: Client" in arguments
    ]
    assert len(tests) >= 15
    missing = [name for name in tests if f"| {name.removeprefix('test_').replace('_', ' ')} |" not in told]
    missing += [client.library for client in CLIENTS.values() if f"`{client.library}`" not in told]
    assert missing == [], "fill it anew: tests/functions/contract/table.py"
    assert "**no**" not in told
    assert "not tried" not in told

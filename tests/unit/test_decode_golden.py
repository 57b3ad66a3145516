from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_agent.decode import Decode, Decoded, known
from edge_agent.domain.message import Message, Rejected

NOW = 1_763_888_889_000
FOLDER = Path(__file__).parent.parent / "contract"
FILES = sorted(FOLDER.glob("*/*.json"))


def said(decoded: Decoded) -> dict[str, Any]:
    if isinstance(decoded, Rejected):
        return {"rejected": decoded.reason}
    names = type(decoded).__struct_fields__
    return {type(decoded).__name__.lower(): {name: getattr(decoded, name) for name in names}}


def restricted(full: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """`full` with only those fields that the golden file speaks of."""
    [(kind, fields)] = full.items()
    wanted = expected.get(kind)
    return {kind: {name: fields[name] for name in wanted}} if isinstance(wanted, dict) else full


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_documented_message_says_what_its_project_means(file: Path) -> None:
    golden = json.loads(file.read_text())
    payload = golden["payload"]
    body = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
    decode = Decode("home", boot="golden")
    decoded = [said(one) for one in decode(Message(golden["topic"], body, NOW, golden.get("retained", False)))]
    expected = golden["expected"]
    assert [restricted(one, wish) for one, wish in zip(decoded, expected, strict=True)] == expected


def test_every_dialect_has_golden_messages() -> None:
    assert {file.parent.name for file in FILES} == set(known())


def test_golden_values_survive_storage_as_they_are() -> None:
    decode = Decode("home", boot="golden")
    golden = json.loads((FOLDER / "tasmota" / "energy.json").read_text())
    [_, sample] = decode(Message(golden["topic"], json.dumps(golden["payload"]).encode(), NOW))
    assert msgspec.json.decode(msgspec.json.encode(sample), type=type(sample)) == sample

"""functions/hello-shell as its manifest declares it."""

from __future__ import annotations

from pathlib import Path

from edge_agent.manifests import load_folder
from tests.functions.shelf import Shelf

FOLDER = Path(__file__).parents[2] / "functions" / "hello-shell"


def test_it_answers_what_it_heard(shelf: Shelf) -> None:
    shelf.functions |= load_folder(FOLDER).functions
    shelf.start()
    shelf.idle("hello-shell")
    event = b'{"id":"1","data":{"message":"tank-1 is down to 18.2 %"}}'
    outcome = shelf.outcome(shelf.send("hello-shell", event=event))
    assert outcome.response == b'{"heard":"tank-1 is down to 18.2 %"}'  # type: ignore[union-attr]

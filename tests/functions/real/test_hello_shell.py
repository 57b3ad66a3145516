"""functions/hello-shell as its manifest declares it."""

from __future__ import annotations

import pytest

from edge_agent.manifests import load_folder
from tests.functions.real.stage import FUNCTIONS
from tests.functions.shelf import Shelf


@pytest.mark.parametrize("space", ["", " "])
def test_it_answers_what_it_heard_however_the_json_is_spaced(shelf: Shelf, space: str) -> None:
    shelf.functions |= load_folder(FUNCTIONS / "hello-shell").functions
    shelf.start()
    shelf.idle("hello-shell")
    event = f'{{"id":"1","data":{{"message":{space}"tank-1 is down to 18.2 %"}}}}'.encode()
    outcome = shelf.outcome(shelf.send("hello-shell", event=event))
    assert outcome.response == b'{"heard":"tank-1 is down to 18.2 %"}'  # type: ignore[union-attr]

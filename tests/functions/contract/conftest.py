"""Each test once for each client."""

from __future__ import annotations

import pytest

from tests.functions.contract.clients import CHOSEN, Client


@pytest.fixture(params=CHOSEN, ids=lambda client: client.language, scope="session")
def client(request: pytest.FixtureRequest) -> Client:
    found = request.param
    assert isinstance(found, Client)
    found.declared()  # builds it, where it is not built
    return found

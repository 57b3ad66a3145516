"""What every route needs, kept with the application: the appliance, the accounts, the clock, who is asking.

In: the current request. Out: typed values. The only place that knows how Flask keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app, g

from edge_agent.ports import Clock
from edge_agent.web.accounts import Accounts
from edge_agent.web.appliance import Appliance
from edge_agent.web.identity import Identity
from edge_agent.web.streams import Streams


@dataclass(frozen=True, slots=True)
class Desk:
    """One application's belongings."""

    appliance: Appliance
    accounts: Accounts
    streams: Streams
    clock: Clock


def desk() -> Desk:
    found: Desk = current_app.extensions["edge.desk"]
    return found


def appliance() -> Appliance:
    return desk().appliance


def accounts() -> Accounts:
    return desk().accounts


def now() -> int:
    """Epoch milliseconds."""
    return desk().clock()


def caller() -> Identity:
    """Who is asking; only in routes that need a scope."""
    identity: Identity = g.identity
    return identity

"""The one error with an exit code of its own; in a file of its own because `--help` must not import the client."""

from __future__ import annotations

from edge_agent.errors import EdgeError


class NotReachable(EdgeError):
    """No agent answers where one was expected; exit code 3."""

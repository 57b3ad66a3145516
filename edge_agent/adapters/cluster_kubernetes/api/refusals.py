"""What Kubernetes answers when it does not do what it was asked, in `edge_agent.errors`, with its own words kept.

Source: "Kubernetes API Conventions", Response Status Kind.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge_agent.errors import Conflict, EdgeError, NotFound, Refused, Unavailable


class Gone(Unavailable):
    """What was asked to go on from is too old (410): list anew."""


def refusal(status: int, body: bytes, retry_after: str = "") -> EdgeError:
    """The error for an answer of 400 or more. 429 and 5xx are `Unavailable`, after the delay Kubernetes asks for."""
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        said = {}
    return refused(status, str(said.get("message") or body[:300].decode("utf-8", "replace").strip()), retry_after)


def refused(status: int, message: str, retry_after: str = "") -> EdgeError:
    """The same for a Status object that is read already."""
    words = f"Kubernetes says: {message or 'HTTP ' + str(status)}"
    if status == 404:
        return NotFound(words)
    if status == 409:
        return Conflict(words)
    if status == 410:
        return Gone(words)
    if status == 401:
        return Refused(f"{words}; the credentials in the kubeconfig are not (or no longer) good: renew them")
    if status == 429 or status >= 500:
        return Unavailable(words, delay=float(retry_after) if retry_after.isdigit() else 1.0)
    return Refused(words)

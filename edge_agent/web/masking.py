"""Values of variables that look like secrets, hidden from who may only read.

In: what the appliance tells of functions. Out: the same, for the eyes of who asks. A secret belongs into a file that the
manifest names under `secrets`; but people put passwords where they work, and a page on a wall shows what it may read.
"""

from __future__ import annotations

import re
from typing import Any

from edge_agent.web.identity import Identity

Json = dict[str, Any]
MASK = "********"
_SECRET = re.compile(r"PASS|PWD|TOKEN|KEY|SECRET|CREDENTIAL|AUTH", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
"""user:password in an address."""


def for_eyes(function: Json, who: Identity) -> Json:
    """`function` as `who` may see it: an admin, who could change the manifest, sees all of it."""
    spec = function.get("manifest", {}).get("spec", {})
    env = spec.get("env")
    if who.may("admin") or not isinstance(env, dict):
        return function
    hidden = {name: _hidden(name, value) for name, value in env.items()}
    return {**function, "manifest": {**function["manifest"], "spec": {**spec, "env": hidden}}}


def _hidden(name: str, value: Any) -> Any:
    if _SECRET.search(name):
        return MASK
    return _LOGIN.sub(f"{MASK}@", value) if isinstance(value, str) else value

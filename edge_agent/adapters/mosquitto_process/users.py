"""Broker users for a Mosquitto that is open to the network: the agent, boards that share one, and functions that move things.

Boards with a user of their own (`board_users`) are named after their device: one ACL with `%u` serves them all.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.adapters.mosquitto_process.configuration import write_private
from edge_agent.domain.topics import ROOT, Topics
from edge_agent.errors import Unavailable

AGENT, BOARDS, FUNCTIONS = "edge-agent", "boards", "functions"
RESERVED = frozenset({AGENT, BOARDS, FUNCTIONS})
"""Names no board may have: its user would be one of these."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Broker users. `boards_password` is set only when it has just been made: it is stored as a hash and told once."""

    agent_password: str
    boards_password: str | None
    functions_password: str


def make_users(folder: Path, site: str, board_filters: Sequence[str]) -> Credentials:
    """Broker users and what they may do, made once and kept. Boards may write what boards say, never an `ack` or
    alert; functions commands, states and readings of their own."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(folder / "acl", _acl(site, board_filters))
    secret, other, hashes = folder / "agent.password", folder / "functions.password", folder / "passwd"
    if secret.exists() and other.exists() and hashes.exists():
        return Credentials(secret.read_text().strip(), None, other.read_text().strip())
    agent, boards, functions = secrets.token_urlsafe(24), secrets.token_urlsafe(12), secrets.token_urlsafe(24)
    write_private(hashes, f"{AGENT}:{agent}\n{BOARDS}:{boards}\n{FUNCTIONS}:{functions}\n")
    tool = shutil.which("mosquitto_passwd")
    done = (
        subprocess.run([tool or "mosquitto_passwd", "-U", str(hashes)], capture_output=True, check=False)
        if tool
        else None
    )
    if done is None or done.returncode:
        hashes.unlink()
        reason = done.stderr.decode(errors="replace").strip() if done else "mosquitto_passwd is not installed"
        raise Unavailable(f"broker users cannot be made: {reason}")
    write_private(secret, agent + "\n")
    write_private(other, functions + "\n")
    return Credentials(agent, boards, functions)


def _acl(site: str, board_filters: Sequence[str]) -> str:
    topics = Topics(site)
    reads = [topics.ack("+"), topics.command("+", "+"), topics.all_alerts, topics.status, "cmnd/#", "+/+/+/command"]
    own = [f for f in board_filters if not f.startswith(ROOT)]
    native = [topics.all_readings, topics.all_batches, topics.all_statuses, topics.all_abouts, topics.all_states]
    return "\n".join(
        [
            f"user {AGENT}",
            "topic readwrite #",
            "topic read $SYS/#",
            "",
            f"user {BOARDS}",
            *(f"topic read {filter_}" for filter_ in reads),
            *(f"topic write {filter_}" for filter_ in (*native, *own, "homeassistant/#")),
            "topic readwrite zigbee2mqtt/#",
            "",
            f"user {FUNCTIONS}",
            f"topic write {topics.command('+', '+')}",
            f"topic readwrite {topics.all_states}",
            f"topic write {topics.all_readings}",
            "",
            *own_topics(site),
            "",
        ]
    )


def own_topics(site: str) -> list[str]:
    """What any user may do as the device of the same name (mosquitto.conf(5), acl_file: `pattern`). The last line names no
    user, of which Mosquitto warns; without it no board would know that the appliance is alive."""
    topics = Topics(site)
    writes = (
        topics.readings("%u"),
        topics.batch("%u"),
        topics.presence("%u"),
        topics.about("%u"),
        topics.state("%u", "+"),
    )
    reads = (topics.ack("%u"), topics.command("%u", "+"), topics.status)
    return [*(f"pattern write {topic}" for topic in writes), *(f"pattern read {topic}" for topic in reads)]

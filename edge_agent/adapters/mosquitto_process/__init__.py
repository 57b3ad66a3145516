"""A Mosquitto of our own for `edgectl run`: configured, started, watched, restarted with backoff when it dies, stopped.

Everything it writes is in one folder (0700). Loopback without users, or on the network with users and an ACL. Errors:
`Unavailable` (not installed, does not start).
"""

from edge_agent.adapters.mosquitto_process.board_users import BoardUsers
from edge_agent.adapters.mosquitto_process.configuration import MAX_QUEUED_BYTES, MESSAGE_LIMIT, free_port
from edge_agent.adapters.mosquitto_process.process import Mosquitto
from edge_agent.adapters.mosquitto_process.users import AGENT, BOARDS, FUNCTIONS, RESERVED, Credentials, make_users

__all__ = [
    "AGENT",
    "BOARDS",
    "FUNCTIONS",
    "MAX_QUEUED_BYTES",
    "MESSAGE_LIMIT",
    "RESERVED",
    "BoardUsers",
    "Credentials",
    "Mosquitto",
    "free_port",
    "make_users",
]

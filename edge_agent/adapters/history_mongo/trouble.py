"""What pymongo reports, in the product's two words: `Unavailable` (try again) or `Refused` (trying again will not help)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)

from edge_agent.errors import EdgeError, Refused, Unavailable

DUPLICATE_KEY = 11000
COMMAND_NOT_FOUND = 59

_TEMPORARY = {
    6: "HostUnreachable", 7: "HostNotFound", 24: "LockTimeout", 43: "CursorNotFound", 50: "MaxTimeMSExpired",
    64: "WriteConcernTimeout", 89: "NetworkTimeout", 91: "ShutdownInProgress", 112: "WriteConflict",
    133: "FailedToSatisfyReadPreference", 134: "ReadConcernMajorityNotAvailableYet", 175: "QueryPlanKilled",
    189: "PrimarySteppedDown", 202: "NetworkInterfaceExceededTimeLimit", 237: "CursorKilled", 262: "ExceededTimeLimit",
    9001: "SocketException", 10107: "NotWritablePrimary", 11600: "InterruptedAtShutdown",
    11602: "InterruptedDueToReplStateChange", 13435: "NotPrimaryNoSecondaryOk", 13436: "NotPrimaryOrSecondary",
    14031: "OutOfDiskSpace",
}  # fmt: skip
"""MongoDB's error codes (its error_codes.yml) after which the same command may succeed."""

_HINTS = {
    13: "give the user readWrite on the database",
    18: "check user, password and authSource",
    121: "the collection has a validator that is not ours: remove it",
}


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Around everything that calls pymongo. Errors: `Unavailable`, `Refused`; none of pymongo's or bson's."""
    try:
        yield
    except BulkWriteError as error:
        raise _of_bulk(error) from error
    except PyMongoError as error:
        raise _of_one(error) from error
    except (BSONError, OverflowError, UnicodeError, ValueError) as error:
        raise Refused(f"MongoDB cannot hold this: {error}") from error


def only_duplicates(error: BulkWriteError) -> bool:
    """Whether all that went wrong is that documents were there already."""
    details = error.details
    wrong = [found for found in details.get("writeErrors", []) if found.get("code") != DUPLICATE_KEY]
    return not wrong and not details.get("writeConcernErrors")


def _of_bulk(error: BulkWriteError) -> EdgeError:
    if error.details.get("writeConcernErrors"):
        return Unavailable("MongoDB did not confirm the write in time: are enough of its members up?")
    wrong = [found for found in error.details.get("writeErrors", []) if found.get("code") != DUPLICATE_KEY]
    codes = {found.get("code", 0) for found in wrong}
    first = wrong[0].get("errmsg", "") if wrong else str(error)
    if codes and codes <= _TEMPORARY.keys():
        return Unavailable(f"MongoDB cannot take readings now: {first}")
    return Refused(f"MongoDB refused {len(wrong)} documents: {first}{_hint(min(codes, default=0))}")


def _of_one(error: PyMongoError) -> EdgeError:
    if isinstance(error, InvalidOperation):
        return Unavailable(f"the history is closed: {error}")
    if isinstance(error, ConnectionFailure) or error.has_error_label("RetryableWriteError"):
        return Unavailable(f"MongoDB is away: {_first(error)}")
    if isinstance(error, ConfigurationError):
        return Refused(f"this MongoDB cannot be used: {_first(error)}; check history.url, and that it is 4.4 or newer")
    code = (error.code or 0) if isinstance(error, OperationFailure) else 0
    if code in _TEMPORARY or error.timeout:
        return Unavailable(f"MongoDB cannot answer now: {_first(error)}")
    return Refused(f"MongoDB said no: {_first(error)}{_hint(code)}")


def _first(error: PyMongoError) -> str:
    """Without the dump of topology or answer that pymongo appends."""
    return str(error).partition(", full error:")[0].partition(", Timeout:")[0]


def _hint(code: int) -> str:
    return f" ({_HINTS[code]})" if code in _HINTS else ""

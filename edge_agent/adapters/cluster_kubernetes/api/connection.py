"""Requests to the Kubernetes API: plain dicts in, plain dicts out.

Of the `kubernetes` client are used: where the cluster is and how one signs in (kubeconfig, in-cluster, tokens that are
renewed) and its pool of connections. Not its classes for each kind of object: building them takes several times the
work of reading the JSON, and memory for each.
Guarantee: every call ends within its timeouts; only `edge_agent.errors` leave; any number of threads may call.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import msgspec
import urllib3
from kubernetes import config as _config
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject

from edge_agent import __version__
from edge_agent.adapters.cluster_kubernetes.api.refusals import refusal
from edge_agent.errors import Refused, Unavailable

Json = dict[str, Any]
Query = Mapping[str, str | int]

AGENT = f"edge-agent/{__version__}"
MANAGER = "edge-agent"
"""Who owns the fields of what `apply` writes ("Server-Side Apply": field manager)."""
CONNECT, READ = 5.0, 10.0
"""Seconds to reach the API server (TLS included), and until it answers."""
CONNECTIONS = 8
"""Kept open at most; a watch has one of its own."""


_load: Any = _config
"""Its functions have no types."""


class Connection:
    """`kubeconfig`: a file; None: the one Kubernetes gives a pod, else $KUBECONFIG or ~/.kube/config."""

    def __init__(self, kubeconfig: Path | None = None, *, connect: float = CONNECT, read: float = READ) -> None:
        """Reads the configuration, connects to nobody yet. Errors: `Refused` (no or a bad configuration)."""
        self._kubeconfig = kubeconfig
        self._timeout = urllib3.Timeout(connect=connect, read=read)
        self._connect = connect
        self._signing = threading.Lock()
        self.date = ""
        """The server's clock, as the last answer had it (RFC 9110, 6.6.1: Date)."""
        self._load()

    @property
    def host(self) -> str:
        """https://address:port, for people."""
        return str(self._settings.host)

    # -- calls. Errors of each: `Unavailable`, `Gone`, `NotFound`, `Conflict`, `Refused`

    def get(self, path: str, query: Query | None = None) -> Json:
        """An object, or a list of them. `path`: `/api/v1/namespaces/edge-functions/pods`."""
        return _decode(self.read(path, query))

    def read(self, path: str, query: Query | None = None) -> bytes:
        """What is no JSON: a log."""
        return self._call("GET", path, query)

    def create(self, path: str, item: Json) -> Json:
        """Errors: `Conflict` when it exists."""
        return _decode(self._call("POST", path, None, item))

    def apply(self, path: str, item: Json) -> Json:
        """Create it or make it so, whoever wrote it before (server-side apply). `path` ends with its name."""
        query: Query = {"fieldManager": MANAGER, "force": "true"}
        return _decode(self._call("PATCH", path, query, item, kind="application/apply-patch+yaml"))

    def merge(self, path: str, change: Json) -> Json:
        """Change the fields that are given (RFC 7386), of the object or of `path` + "/status"."""
        query: Query = {"fieldManager": MANAGER}
        return _decode(self._call("PATCH", path, query, change, kind="application/merge-patch+json"))

    def replace(self, path: str, item: Json) -> Json:
        """Errors: `Conflict` when `item` has a resourceVersion and is no longer the newest."""
        return _decode(self._call("PUT", path, None, item))

    def delete(self, path: str, *, grace: int | None = None, uid: str = "") -> None:
        """With `uid`: only this very object. Errors: `NotFound`, `Conflict` (another uid)."""
        options: Json = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid:
            options["preconditions"] = {"uid": uid}
        self._call("DELETE", path, None, options)

    def lines(self, path: str, query: Query, *, silence: float) -> Lines:
        """A stream of JSON lines: a watch. It ends with `Unavailable` after `silence` seconds without a byte."""
        timeout = urllib3.Timeout(connect=self._connect, read=silence)
        return Lines(self._request("GET", path, query, timeout=timeout))

    def close(self) -> None:
        """Let idle connections go; what is under way ends by itself."""
        self._pool.clear()

    # -- underneath

    def _load(self) -> None:
        found = Configuration()
        try:
            if self._kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
                _load.load_incluster_config(found)
            else:
                file = str(self._kubeconfig) if self._kubeconfig else None
                _load.load_kube_config(file, client_configuration=found, persist_config=False)
        except Exception as error:
            where = self._kubeconfig or "no kubeconfig was named, and none was found"
            raise Refused(f"the cluster's configuration cannot be read: {where}: {error}; see [kubernetes]") from error
        found.connection_pool_maxsize = CONNECTIONS
        found.keep_alive = True
        self._settings = found
        self._pool: Any = RESTClientObject(found).pool_manager

    def _call(
        self, method: str, path: str, query: Query | None, item: Json | None = None, kind: str = "application/json"
    ) -> bytes:
        body = msgspec.json.encode(item) if item is not None else None
        response = self._request(method, path, query, body=body, kind=kind)
        try:
            return response.data
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._away(error) from error
        finally:
            response.release_conn()

    def _request(
        self, method: str, path: str, query: Query | None, *, body: bytes | None = None,
        kind: str = "application/json", timeout: urllib3.Timeout | None = None,
    ) -> urllib3.BaseHTTPResponse:  # fmt: skip
        url = f"{self._settings.host}{path}" + (f"?{urlencode(query)}" if query else "")
        for fresh in (False, True):
            headers = {"User-Agent": AGENT, "Accept": "application/json", **self._credentials()}
            if body is not None:
                headers["Content-Type"] = kind
            try:
                response: urllib3.BaseHTTPResponse = self._pool.request(
                    method, url, body=body, headers=headers, timeout=timeout or self._timeout,
                    retries=False, preload_content=False,
                )  # fmt: skip
                self.date = response.headers.get("Date", "")
                if response.status < 400:
                    return response
                refused = refusal(response.status, response.data, response.headers.get("Retry-After", ""))
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise self._away(error) from error
            response.release_conn()
            if response.status != 401 or fresh:
                break
            self._load()  # somebody may have renewed the file
        raise refused

    def _credentials(self) -> dict[str, str]:
        with self._signing:  # it may read a file or run a program
            try:
                given = self._settings.auth_settings().get("BearerToken", {}).get("value")
            except Exception as error:
                raise Unavailable(f"the cluster's credentials cannot be renewed: {error}") from error
        return {"Authorization": given} if given else {}

    def _away(self, error: Exception) -> Unavailable:
        words = str(getattr(error, "reason", "") or error)
        return Unavailable(f"the Kubernetes API at {self.host} cannot be reached: {words}")


class Lines:
    """An answer that goes on. One thread iterates; any may `stop` it."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self._stopped = False

    def __iter__(self) -> Iterator[bytes]:
        """Whole lines as they come, until the server ends it. Errors: `Unavailable`."""
        rest = b""
        try:
            for piece in self._response.stream(64 * 1024):
                *whole, rest = (rest + piece).split(b"\n")
                yield from filter(None, whole)
        except Exception as error:
            if not self._stopped:  # what a socket shut down under a reader says is up to the TLS library
                raise Unavailable(f"the Kubernetes API broke off: {error}") from error
        finally:
            self._response.close()

    def stop(self) -> None:
        """Whoever reads is at the end, at once."""
        self._stopped = True
        self._response.shutdown()


def _decode(body: bytes) -> Json:
    try:
        return cast(Json, msgspec.json.decode(body))
    except msgspec.DecodeError as error:
        raise Unavailable(f"the Kubernetes API answered what is no JSON: {error}") from error

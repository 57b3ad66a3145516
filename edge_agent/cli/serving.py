"""The appliance and its web server as one thing that starts and stops; what `run` and `agent` share.

In: settings. Out: a page that answers. Guarantee: a part that does not start leaves none of the others running.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from edge_agent.app import Appliance
from edge_agent.app.clock import now_ms
from edge_agent.cli.client import PAGE_FILE
from edge_agent.errors import EdgeError, Unavailable
from edge_agent.settings import Loaded, Settings, effective
from edge_agent.web.accounts import Accounts
from edge_agent.web.application import create_app
from edge_agent.web.server import Server

LOG = logging.getLogger(__name__)


class Serving:
    """One appliance with its page and API. `url` is where people find the page."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.appliance = Appliance(settings)
        self.accounts = Accounts(settings.data.dir / "accounts.json", now_ms)
        self.url = ""
        self._stopped = False
        web = settings.web
        app = create_app(self.appliance, self.accounts, names=web.allowed_hosts, streams=web.streams)
        self._server = Server(app, web.host, web.port, settings.socket, certificate=web.tls_cert, key=web.tls_key)

    def start(self) -> None:
        """Errors: `Unavailable` (port taken, certificate), and whatever the appliance's parts say."""
        try:
            self.appliance.start()
            port = self._server.start()
        except OSError as error:
            self.stop()
            raise Unavailable(_why(error, self.settings)) from error
        except BaseException:
            self.stop()
            raise
        web = self.settings.web
        scheme = "https" if web.tls_cert else "http"
        self.url = f"{scheme}://{_shown(web.host)}:{port}"
        _write(self.settings.data.dir / PAGE_FILE, self.url)

    def stop(self) -> None:
        """A second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self._server.stop()
        self.appliance.stop()
        (self.settings.data.dir / PAGE_FILE).unlink(missing_ok=True)

    def reload(self) -> None:
        """Read rules and functions again; faults are logged, and what held goes on holding."""
        try:
            told = self.appliance.reload()
        except EdgeError as error:
            LOG.error("nothing was reloaded: %s", error)  # noqa: TRY400 - people read this, not its traceback
        else:
            LOG.info("reloaded: %s", ", ".join(f"{count} {noun}" for noun, count in told.items()))


class Signals:
    """SIGINT and SIGTERM end `wait`; SIGHUP calls `reload` from within it, or ends it too (a terminal was closed). A second
    SIGINT ends the process at once."""

    def __init__(self, reload: Callable[[], None] | None = None) -> None:
        self._reload = reload
        self._wake = threading.Event()
        self._stop = self._hup = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._take)

    @property
    def stopping(self) -> bool:
        return self._stop

    def wait(self, timeout: float | None = None) -> bool:
        """Until a stop is asked for (True), or `timeout` seconds have passed (False)."""
        self._wake.wait(timeout)
        self._wake.clear()
        if self._hup and self._reload and not self._stop:
            self._hup = False
            self._reload()
        return self._stop

    def until_stop(self) -> None:
        """Wait for a stop, however many reloads come before it."""
        while not self.wait():
            pass

    def _take(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP and self._reload:
            self._hup = True
        elif self._stop and number == signal.SIGINT:
            os._exit(1)
        else:
            self._stop = True
        self._wake.set()


def log_configuration(loaded: Loaded, *, everything: bool) -> None:
    """What is in effect and where each value came from, secrets masked; defaults too when `everything`."""
    log = logging.getLogger("edge_agent.configuration")
    for warning in loaded.warnings:
        log.warning(warning)
    for key, value, source in effective(loaded):
        log.log(
            logging.INFO if everything or source != "default" else logging.DEBUG, "%s = %s (%s)", key, value, source
        )


def _shown(host: str) -> str:
    """The address people type: a machine that listens everywhere is found by its address on the network."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return "localhost" if host in ("127.0.0.1", "::1") else f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 9))  # sends nothing: asks the kernel which address it would use
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _why(error: OSError, settings: Settings) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {settings.web.port} or the local socket is taken; choose another port with [web] port"
    where = f"{error.filename}: " if error.filename else ""
    return f"the page cannot be served: {where}{error.strerror or error}"


def _write(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text + "\n")

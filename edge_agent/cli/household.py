"""What `edgectl run` keeps on one machine: a Mosquitto, the appliance, and boards that are not there.

Started in that order and stopped in the other, so that the agent hears every board out. Free ports are found, and said.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, TextIO

from pydantic import SecretStr

from edge_agent.adapters.board_paho import BoardLinks
from edge_agent.adapters.mosquitto_process import (
    AGENT,
    BOARDS,
    FUNCTIONS,
    Credentials,
    Mosquitto,
    free_port,
    make_users,
)
from edge_agent.cli.serving import Serving
from edge_agent.decode import Decode
from edge_agent.errors import Conflict
from edge_agent.settings import Loaded, Settings
from edge_agent.simulator.fleet import Fleet

LOG = logging.getLogger(__name__)
DEMO = Path(__file__).parent.parent / "demo"


class Household:
    """`boards` simulated ones (0: none). A broker named in the configuration is used instead of one of our own."""

    def __init__(self, loaded: Loaded, *, lan: bool, boards: int) -> None:
        self.settings = loaded.settings
        self.lan = lan
        self.boards = boards
        self.own_broker = loaded.provenance["mqtt.host"] == "default"
        self.broker: Mosquitto | None = None
        self.users: Credentials | None = None
        self.serving: Serving | None = None
        self.fleet: Fleet | None = None
        self.links: BoardLinks | None = None
        self._lock: IO[str] | None = None
        self._taken: set[int] = set()
        """Ports we have chosen and do not listen on yet."""

    def start(self) -> None:
        """Errors: `EdgeError`s of the parts. Whatever was started, `stop` ends."""
        settings = self.settings
        settings.data.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._only_one()
        if self.boards:
            furnish(settings.manifests_dir)
        web_port = self._free("page", settings.web.port, settings.web.host)
        settings = _changed(settings, "web", port=web_port)
        runtime_port = self._free("Runtime API", settings.functions.runtime_port, "127.0.0.1", quiet=True)
        settings = _changed(settings, "functions", runtime_port=runtime_port)
        if self.own_broker:
            settings = self._start_broker(settings)
        self.settings = settings
        self.serving = Serving(settings)
        self.serving.start()
        if self.boards:
            self._start_boards()

    def stop(self) -> None:
        """Boards first, the broker last; each even when another one fails."""
        steps: list[tuple[str, Callable[[], object]]] = []
        if self.fleet:
            steps.append(("the boards", partial(self.fleet.stop, timeout=3.0)))
        if self.links:
            steps.append(("the boards' connections", self.links.close))
        if self.serving:
            steps.append(("the agent", self.serving.stop))
        if self.broker:
            steps.append(("the broker", self.broker.stop))
        if self._lock:
            steps.append(("the lock", self._lock.close))
        for name, stop in steps:
            try:
                stop()
            except Exception:  # the others must be stopped too
                LOG.exception("%s did not stop clean", name)

    def introduce(self, out: TextIO) -> None:
        """Tell a person where everything is."""
        assert self.serving
        mqtt = self.settings.mqtt
        link = f"{self.serving.url}/signin#{self.serving.accounts.create_link()}"
        lines = [
            ("page", self.serving.url),
            ("sign in", f"{link}  (works once, for ten minutes; edgectl signin makes another)"),
            ("broker", f"mqtt://{self.serving.url.split('//')[1].rpartition(':')[0]}:{mqtt.port}"),
            ("data", str(self.settings.data.dir)),
            ("manifests", str(self.settings.manifests_dir)),
        ]
        if self.users and self.users.boards_password:
            told = f"user {BOARDS}, password {self.users.boards_password}  (shown this once)"
            lines.insert(3, ("board login", told))
        if self.boards:
            lines.append(("boards", f"{self.boards} simulated ones; --no-demo leaves them out"))
        width = max(len(name) for name, _ in lines)
        out.write("\n" + "".join(f"  {name:<{width}}  {text}\n" for name, text in lines) + "\n  Ctrl-C stops.\n\n")
        out.flush()

    def _only_one(self) -> None:
        """Two brokers would write over each other's database. The lock is the kernel's: it ends with this process."""
        self._lock = (self.settings.data.dir / "run.lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(
                f"edgectl run is at work in {self.settings.data.dir} already; stop it, or choose another folder with --data"
            ) from error

    def _free(self, noun: str, wanted: int, host: str, *, quiet: bool = False) -> int:
        port = free_port(wanted, host, but=self._taken)
        self._taken.add(port)
        if wanted and port != wanted and not quiet:
            LOG.warning("port %d is taken; the %s is on %d", wanted, noun, port)
        return port

    def _start_broker(self, settings: Settings) -> Settings:
        """The settings with the broker's address, and our user there when it asks for one."""
        folder = settings.data.dir / "broker"
        host = "0.0.0.0" if self.lan else "127.0.0.1"  # noqa: S104 - --lan asks for exactly that
        port = self._free("broker", settings.mqtt.port, host)
        changes: dict[str, object] = {"host": "127.0.0.1", "port": port}
        if self.lan:
            filters = Decode(settings.site, settings.mqtt.dialects, boot=secrets.token_hex(8)).filters()
            self.users = make_users(folder, settings.site, filters)
            changes |= {"username": AGENT, "password": SecretStr(self.users.agent_password)}
            settings = _changed(settings, "functions", mqtt_user=FUNCTIONS)
            _keep_secret(settings.secrets_dir / "mqtt" / "password", self.users.functions_password)
        self.broker = Mosquitto(folder, port, lan=self.lan)
        self.broker.start()
        return _changed(settings, "mqtt", **changes)

    def _start_boards(self) -> None:
        """They use the agent's broker user: the boards' password is known only to whoever was told it."""
        mqtt = self.settings.mqtt
        self.links = BoardLinks(
            mqtt.host,
            mqtt.port,
            username=mqtt.username or None,
            password=mqtt.password.get_secret_value() or None,
            tls_ca=str(mqtt.tls_ca) if mqtt.tls_ca else None,
            v5=mqtt.protocol == "5",
        )
        self.fleet = Fleet(self.links, self.settings.site, devices=self.boards)
        self.fleet.start()


def furnish(folder: Path) -> None:
    """Put the demo's rule and function into a folder that has no manifests yet."""
    if folder.is_dir() and any(file.suffix in (".yaml", ".yml") for file in folder.iterdir()):
        return
    # copyfile: a package's files may be read-only, and these are to be changed.
    ignored = shutil.ignore_patterns("__pycache__", "*.py[co]")
    shutil.copytree(DEMO, folder, dirs_exist_ok=True, ignore=ignored, copy_function=shutil.copyfile)
    folder.chmod(0o700)


def _keep_secret(file: Path, secret: str) -> None:
    """Where functions that name it find it; one that is there is left alone."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists():
        with open(file, "x", opener=partial(os.open, mode=0o600)) as new:
            new.write(secret + "\n")


def _changed(settings: Settings, section: str, **values: object) -> Settings:
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=values)})

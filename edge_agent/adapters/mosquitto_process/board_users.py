"""A broker user for each board: its device name, a password of its own, and what the ACL lets `%u` do.

Enters: a device name. Leaves: its password, told once; in the broker's password file it is a hash. Guarantee: the file is
replaced in one piece, with the owner and mode it had; a running broker is told, and ends connections whose password no longer
holds. Works on the folder `edgectl run --lan` keeps, and on any other with `passwd` and `acl` in it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from edge_agent.adapters.mosquitto_process.configuration import PID_FILE, write_private
from edge_agent.adapters.mosquitto_process.users import RESERVED
from edge_agent.errors import Conflict, Refused, Unavailable

PASSWORDS = "passwd"


class BoardUsers:
    """The users in one folder. Errors: `Refused` (no such folder, or it may not be changed)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / PASSWORDS

    def ready(self) -> None:
        """Whether users can be made here. Raises `Refused` with what to do."""
        try:
            with self.file.open("r+"):
                return
        except FileNotFoundError:
            raise Refused(
                f"the broker asks for no password, or keeps its users elsewhere ({self.file} is not there): start it with "
                "edgectl run --lan, or name its folder with --broker-users"
            ) from None
        except PermissionError:
            raise Refused(f"{self.file} may be changed by its owner only; use sudo") from None

    def names(self) -> set[str]:
        """The boards that have a user."""
        return {line.partition(":")[0] for line in self.file.read_text().splitlines() if line} - RESERVED

    def make(self, device: str) -> str:
        """Give `device` a fresh password; one that it had no longer holds. Raises `Conflict` for names of the house."""
        if device in RESERVED:
            raise Conflict(f"{device} is a user of the appliance itself; give the board another name")
        self.ready()
        password = secrets.token_urlsafe(18)
        self._replace(device, self._hashed(device, password))
        return password

    def remove(self, device: str) -> None:
        """Its password no longer holds; one that is not there is gone already."""
        if device not in RESERVED:
            self.ready()
            self._replace(device, "")

    def _hashed(self, device: str, password: str) -> str:
        """The line for the password file. The password goes through a file of ours: a command's arguments are seen by all."""
        draft = self.folder / f".{device}.passwd"
        write_private(draft, f"{device}:{password}\n")
        try:
            tool = shutil.which("mosquitto_passwd") or "mosquitto_passwd"
            done = subprocess.run([tool, "-U", str(draft)], capture_output=True, check=False)
            if done.returncode:
                raise Unavailable(f"no user can be made: {done.stderr.decode(errors='replace').strip()}")
            return draft.read_text()
        except FileNotFoundError:
            raise Unavailable("mosquitto_passwd is not installed: sudo apt install mosquitto") from None
        finally:
            draft.unlink(missing_ok=True)

    def _replace(self, device: str, line: str) -> None:
        before = self.file.stat()
        kept = [old for old in self.file.read_text().splitlines(keepends=True) if old.partition(":")[0] != device]
        new = self.folder / f".{PASSWORDS}.new"
        write_private(new, "".join(kept) + line)
        new.chmod(before.st_mode & 0o777)
        with contextlib.suppress(PermissionError):  # not root: then it was ours, and is
            os.chown(new, before.st_uid, before.st_gid)
        new.replace(self.file)
        self._reload()

    def _reload(self) -> None:
        """SIGHUP to the broker that keeps its number beside its users; where there is none, to the service."""
        try:
            pid = int((self.folder / PID_FILE).read_text())
            if Path(f"/proc/{pid}/comm").read_text().strip() == "mosquitto":
                os.kill(pid, signal.SIGHUP)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            if shutil.which("systemctl") and Path("/run/systemd/system").is_dir():
                subprocess.run(["systemctl", "reload", "mosquitto.service"], capture_output=True, check=False)

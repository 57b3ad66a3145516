"""The ground playbooks stand on: Debian machines with systemd as process 1, in namespaces, on a LAN of their own.

    with Ground("mine") as ground:
        pi = ground.node("pi1", model="Raspberry Pi 5 Model B Rev 1.0", memory=8192)
        pi.boot()                       # back in about a second, when SSH answers
        pi.run("systemctl", "is-system-running")
        pi.reboot(); pi.kill(); pi.boot()
        ground.cut_outside()

This machine is on the LAN, too, as its router (`ground.router`): boards and people of tests speak from there. Everything ends
with the process that holds it, even when that is killed; what is left on disk the next start sweeps (tests/cluster/state.py).
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.ansible import root
from tests.ansible.outside import Outside
from tests.cluster import needs, state
from tests.cluster.cgroups import Group, Hierarchy
from tests.cluster.machine import ENTER, child_of
from tests.cluster.network import Wires, ip

BOOT = Path(__file__).parent / "boot.sh"
UNIFIED = Path("/sys/fs/cgroup/unified")
"""Where a host with cgroups of both versions has the second; systemd keeps its own books there."""
PI5 = "Raspberry Pi 5 Model B Rev 1.0"
CMDLINE = (
    "console=serial0,115200 console=tty1 root=PARTUUID=00000000-02 rootfstype=ext4 fsck.repair=yes rootwait quiet\n"
)
CONFIG = "# For more options and information see\n# http://rptl.io/configtxt\ndtparam=audio=on\n\n[cm4]\notg_mode=1\n\n[all]\n"


class Node:
    """One machine. `address` is its own on the LAN; `disk` the layer it writes to, which outlives kills and boots."""

    def __init__(self, ground: Ground, number: int, name: str, root_folder: Path) -> None:
        self.ground, self.number, self.name, self.root = ground, number, name, root_folder
        self.address = str(ground.wires.ranges.node(number))
        self.state = ground.folder / name
        self.disk = self.state / "disk"
        self.mounted = self.state / "root"
        self.model, self.memory = PI5, 0
        self.group = Group(ground.name, name)
        if UNIFIED.is_mount() and not self.group.trees[0].unified:
            self.group.trees.append(Hierarchy(UNIFIED, ""))
        self.init = 0
        """This machine's id of the node's process 1; 0 while it is off."""
        self.boots = 0
        self._life: threading.Thread | None = None
        self._outer: subprocess.Popen[bytes] | None = None
        self._going_down = False

    def prepare(self) -> None:
        """Put the disk together: Debian below, this node's name, key and boot partition above."""
        for folder in ("disk", "work", "root", "rancher"):
            (self.state / folder).mkdir(parents=True)
        layers = f"lowerdir={self.root},upperdir={self.disk},workdir={self.state / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.mounted)], check=True)
        self.write("etc/hostname", f"{self.name}\n")
        self.write("etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
        self.write("etc/resolv.conf", "")
        self.write("etc/apt/apt.conf.d/00outside", f'Acquire::http::Proxy "{self.ground.outside.url}";\n')
        self.write("root/.ssh/authorized_keys", self.ground.public_key, 0o600)
        self.write("boot/firmware/cmdline.txt", CMDLINE)
        self.write("boot/firmware/config.txt", CONFIG)
        (self.mounted / "root/.ssh").chmod(0o700)
        keys = self.mounted / "etc/ssh/ssh_host_ed25519_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(keys)], check=True)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file on its disk."""
        file = self.mounted / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def boot(self, patience: float = 30.0) -> float:
        """Switch on; seconds until SSH answered."""
        began = time.monotonic()
        self._going_down = False
        self._life = threading.Thread(target=self._live, name=f"life of {self.name}", daemon=True)
        self._life.start()
        self.await_ssh(patience)
        return time.monotonic() - began

    def _live(self) -> None:
        """Boot, and again after each reboot. The kernel ends what this thread started when it goes (pdeathsig)."""
        while True:
            self.group.make()
            trees = [f"{tree.mount}={tree.options}" for tree in self.group.trees]
            self._outer = self._start(trees)
            self.boots += 1
            try:
                self.init = child_of(self._outer.pid)
            except RuntimeError:
                self.init = 0
            code = self._outer.wait()
            self.init = 0
            self._clear_groups()
            # reboot(2): a reboot ends process 1 by SIGHUP, a halt by SIGINT
            if self._going_down or code not in (-1, 129):
                return

    def _start(self, trees: list[str]) -> subprocess.Popen[bytes]:
        new = ["--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--propagation", "private"]
        enter = ["nsenter", f"--net=/run/netns/{self.ground.wires.namespace(self.number)}"]
        boot = ["sh", str(BOOT), str(self.mounted), self.name, str(self.state / "rancher"), *trees]
        life = ["setpriv", "--pdeathsig", "KILL", "unshare", *new, *boot]
        with (self.state / "console.log").open("ab") as log:
            return subprocess.Popen(
                ["sh", "-c", ENTER, "enter", *self.group.doors(settled=False), "--", *enter, *life],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": ":".join(needs.SYSTEM), "MODEL": self.model, "MEMORY_KB": str(self.memory * 1024 or "")},
                start_new_session=True,
            )

    def _clear_groups(self) -> None:
        """The next boot begins with empty control groups."""
        tops = set(self.group.folders())
        end = time.monotonic() + 10
        for folder in self.group.below():
            while folder not in tops and folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > end:
                        break
                    time.sleep(0.02)

    def await_ssh(self, patience: float = 30.0) -> None:
        """Until its SSH greets. Raises RuntimeError with its console."""
        end = time.monotonic() + patience
        while True:
            try:
                with socket.create_connection((self.address, 22), timeout=1) as line:
                    line.settimeout(5)
                    if line.recv(4) == b"SSH-":
                        return
            except OSError:
                pass
            if time.monotonic() > end or (self._life and not self._life.is_alive()):
                console = (self.state / "console.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} does not answer on SSH: {console}")
            time.sleep(0.02)

    def kill(self) -> None:
        """A power cut: everything in it stops at one instant."""
        self._going_down = True
        if self._outer is not None and self._outer.poll() is None:
            self._outer.kill()
        if self._life is not None:
            self._life.join(timeout=30)
        if self.group.processes():
            raise RuntimeError(f"{self.name}: processes {self.group.processes()} do not end")

    def reboot(self) -> float:
        """As `systemctl reboot`; seconds until SSH answers again."""
        began, boots = time.monotonic(), self.boots
        self.run("systemctl", "reboot", check=False)
        end = time.monotonic() + 60
        while self.boots == boots:
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not go down")
            time.sleep(0.02)
        self.await_ssh()
        return time.monotonic() - began

    def run(self, *argv: str | Path, check: bool = True, stdin: str = "") -> str:
        """Run to the end as root, through the door in the back, not SSH; what it printed. Raises RuntimeError."""
        enter = ["nsenter", f"--target={self.init}", "--all", "--", "env", "-i", f"PATH={':'.join(needs.SYSTEM)}"]
        command = [
            "sh",
            "-c",
            ENTER,
            "enter",
            *self.group.doors(settled=False),
            "--",
            *enter,
            "HOME=/root",
            "TERM=dumb",
        ]
        done = subprocess.run(
            [*command, *map(str, argv)], input=stdin, capture_output=True, text=True, check=False, cwd="/"
        )
        if check and done.returncode:
            said = f"{done.stdout}{done.stderr}"
            raise RuntimeError(f"{self.name}: {' '.join(map(str, argv))} ended with {done.returncode}: {said}")
        return done.stdout

    def read(self, path: str) -> str:
        """A file of it, on or off."""
        return (self.mounted / path.lstrip("/")).read_text()

    def discard(self) -> None:
        """Off, and its disk let go."""
        self.kill()
        subprocess.run(["umount", "--lazy", str(self.mounted)], check=False)


class Ground:
    """A LAN with a way to apt's sources outside. `name`: up to ten lower-case letters and digits, not in use by another."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: dict[str, Node] = {}

    def __enter__(self) -> Ground:
        needs.check()
        self.folder, ranges = state.claim(self.name)
        self.slot = ranges.slot
        self.wires = Wires(state.prefix(self.name), ranges, 0)
        self.router = str(ranges.gateway)
        self.key = self.folder / "key"
        try:
            ip("link", "add", self.wires.bridge, "type", "bridge")
            ip("addr", "add", f"{ranges.gateway}/{ranges.nodes.prefixlen}", "dev", self.wires.bridge)
            ip("link", "set", self.wires.bridge, "up")
            sweep_groups(self.name)
            self.outside = Outside(self.router, root.CACHE / "packages")
            self.outside.open()
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
            self.public_key = self.key.with_suffix(".pub").read_text()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes.values():
            node.discard()
        self.outside.close()
        sweep_groups(self.name)
        state.release(self.name, self.slot)

    def cut_outside(self) -> None:
        """Pull the router's line: the LAN stays."""
        self.outside.close()

    def restore_outside(self) -> None:
        self.outside.open()

    def node(self, name: str, model: str = PI5, memory: int = 0, architecture: str = "") -> Node:
        """A new machine, off. `memory` in MiB is what it says it has; 0: this machine's."""
        node = Node(self, len(self.nodes) + 1, name, root.debian(architecture))
        self.nodes[name] = node
        node.model, node.memory = model, memory
        self.wires.attach(node.number)
        subprocess.run(
            ["ip", "netns", "exec", self.wires.namespace(node.number), "nft", "flush", "ruleset"], check=True
        )
        node.prepare()
        return node

    def plug(self, node: Node, state: str) -> None:
        """`up` or `down`: its cable."""
        self.wires.plug(node.number, state)


def sweep_groups(name: str) -> None:
    """Remove what is left of a ground in the second tree of a host with both; tests/cluster removes the rest."""
    for folder, _, _ in os.walk(UNIFIED / f"edge-cluster-{name}", topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def environment(ground: Ground, home: Path) -> dict[str, str]:
    """For ansible-playbook against this ground: our configuration, the ground's key, nothing of the caller's home."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ANSIBLE_CONFIG": str(Path(__file__).parents[2] / "ansible/ansible.cfg"),
        "ANSIBLE_HOST_KEY_CHECKING": "false",
        "ANSIBLE_PRIVATE_KEY_FILE": str(ground.key),
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(ground.folder / "cp"),
    }


def hosts(groups: dict[str, Sequence[Node]], **settings: object) -> dict[str, object]:
    """An inventory of these nodes, for a YAML or JSON file."""
    listed = {
        group: {"hosts": {node.name: {"ansible_host": node.address, "ansible_user": "root"} for node in nodes}}
        for group, nodes in groups.items()
    }
    return {**listed, "all": {"vars": settings}}

"""One node: a machine with containerd and a kubelet, set up as k3s sets them up (what differs is in README.md)."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster import images
from tests.cluster.machine import Machine
from tests.cluster.network import Wires
from tests.cluster.pki import Identity
from tests.cluster.program import Program
from tests.cluster.remains import Remains, remains
from tests.waiting import eventually

SOCKET = "/run/containerd/containerd.sock"

CONTAINERD = """\
version = 3
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{cni}"]
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        SystemdCgroup = false
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{folder}/certs.d"
"""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a node is made of, the same for all of a cluster's: binaries, CNI plugins, runc, authority, kubelet settings."""

    binaries: Path
    cni: Path
    runc: str
    authority: Path
    kubelet: Mapping[str, Any] = field(default_factory=dict)


class Node:
    """`name`, `ip`, `pod_cidr` (strings), its `machine`, and its programs `containerd` and `kubelet`."""

    def __init__(self, index: int, machine: Machine, wires: Wires, parts: Parts) -> None:
        self.index, self.machine, self._wires, self._parts = index, machine, wires, parts
        self.name = machine.name
        self.ip = str(wires.ranges.node(index))
        self.pod_cidr = str(wires.ranges.node_pods(index))
        self.folder = machine.state / "setup"
        """What is in here is read by the node's programs: `containerd.toml`, `kubelet.json`, `certs.d` for registries."""
        logs = machine.state / "programs"
        self.containerd = Program(
            "containerd", machine, [parts.binaries / "containerd", "-c", self._toml], logs / "containerd.log"
        )
        # the shim is looked up by its name
        self.containerd.environment = {"PATH": f"{parts.binaries}:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.containerd.ready = self._await_containerd
        kubelet: list[str | Path] = [parts.binaries / "kube", "kubelet", f"--config={self.folder}/kubelet.json"]
        kubelet += [
            f"--kubeconfig={self.folder}/kubeconfig",
            f"--hostname-override={self.name}",
            f"--node-ip={self.ip}",
        ]
        self.kubelet = Program("kubelet", machine, kubelet, logs / "kubelet.log")

    @property
    def _toml(self) -> Path:
        return self.folder / "containerd.toml"

    def prepare(self, identity: Identity) -> None:
        """Write what its programs read."""
        (self.folder / "cni").mkdir(parents=True)
        (self.folder / "certs.d").mkdir()
        (self.machine.state / "programs").mkdir()
        parts = {"folder": self.folder, "cni": self._parts.cni, "runc": self._parts.runc, "pause": images.PAUSE}
        self._toml.write_text(CONTAINERD.format(**parts))
        (self.folder / "cni" / "10-edge.conflist").write_text(json.dumps(self._bridge()))
        (self.folder / "kubelet.json").write_text(json.dumps({**self._kubelet(identity), **self._parts.kubelet}))

    def _bridge(self) -> dict[str, Any]:
        ipam = {"type": "host-local", "ranges": [[{"subnet": self.pod_cidr}]], "routes": [{"dst": "0.0.0.0/0"}]}
        bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": ipam}
        return {"cniVersion": "1.0.0", "name": "edge", "plugins": [bridge]}

    def _kubelet(self, identity: Identity) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.ip,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self._parts.authority)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(identity.certificate),
            "tlsPrivateKeyFile": str(identity.key),
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "resolvConf": "",
            "serializeImagePulls": False,
            "maxPods": 110,
            "kubeAPIQPS": 50,  # kubelet's own defaults, spelled out: they bound how fast pods can be told of
            "kubeAPIBurst": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,  # the disk is shared with whoever runs the tests
            "nodeStatusUpdateFrequency": "10s",
            "healthzBindAddress": "127.0.0.1",
        }

    def start(self) -> None:
        """Boot it, start containerd with the pause image in it; the kubelet is started when there is an API server."""
        self._wires.attach(self.index)
        self.machine.boot()
        self.containerd.start()
        self.load(images.pause())

    def power_off(self) -> None:
        """A power cut: kubelet, containerd and every container end at one instant, its network is gone, its disk stays."""
        self.machine.cut()
        for program in (self.kubelet, self.containerd):
            program.lost()
        self._wires.detach(self.index)

    def power_on(self) -> None:
        """Boot it again. Ready a few seconds after this returns (`cluster.wait_ready()`)."""
        self.start()
        self.kubelet.start()

    def unplug(self) -> None:
        """Pull its network cable; everything on it runs on."""
        self._wires.plug(self.index, "down")

    def plug(self) -> None:
        """Put the cable in again."""
        self._wires.plug(self.index, "up")

    def limit_cpu(self, cpus: float | None) -> None:
        """Seconds of CPU per second for all that runs on it, its programs included; None: no limit."""
        self.machine.group.limit_cpu(cpus)

    def ctr(self, *arguments: str | Path, stdin: io.BufferedIOBase | None = None) -> str:
        """containerd's own client, in Kubernetes' namespace; returns what it prints."""
        command = [self._parts.binaries / "ctr", "--address", SOCKET, "--namespace", "k8s.io", *arguments]
        return self.machine.run(*command, **({"stdin": stdin} if stdin else {}))

    def load(self, image: images.Image | Path) -> None:
        """Import an image: one of ours, or an archive (docker or OCI)."""
        with tempfile.TemporaryFile() as file:
            file.write(image.read_bytes() if isinstance(image, Path) else image.archive())
            file.seek(0)
            self.ctr("images", "import", "--local", "--all-platforms", "-", stdin=file)

    def images(self) -> set[str]:
        """References of the images it has, without digests."""
        return {
            name
            for name in self.ctr("images", "ls", "-q").split()
            if "@" not in name and not name.startswith("sha256:")
        }

    def remains(self) -> Remains:
        """What is on it for pods, counted in containerd and the kernel. All zero when there is no pod."""
        return remains(self)

    def _await_containerd(self) -> None:
        def serves() -> bool:
            if not self.containerd.running:
                raise RuntimeError(f"containerd of {self.name} ended:\n{self.containerd.tail()}")
            return "ok" in self.ctr("plugins", "ls", "id==images")

        def answers() -> bool:
            try:
                return serves()
            except RuntimeError:
                if not self.containerd.running:
                    raise
                return False

        eventually(answers, timeout=60, every=0.1)

"""Makes the one file `k3s`: the kube binary with everything else it needs appended as a zip, as k3s itself is packed.

    python -m tests.cluster.pack FILE

`K3S_BINARY` names the real one; then that is copied. The stand-in runs on Linux of this machine's architecture; its runc is
Debian's and needs libseccomp2 there, as every Debian has it.
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from pathlib import Path

from tests.cluster import images, needs

BUILT = ("containerd", "containerd-shim-runc-v2", "ctr", "kine", "kubectl")
PLUGINS = ("bridge", "host-local", "loopback", "portmap")


def pack(target: Path) -> Path:
    """Write it, executable. Raises CannotRun."""
    real = os.environ.get("K3S_BINARY")
    if real:
        shutil.copy(real, target)
    else:
        binaries, cni, runc = needs.binaries(), needs.cni_folder(), needs.program_path("runc")
        if cni is None or runc is None:
            raise needs.CannotRun("runc or the CNI plugins are missing: '.ci/setup cluster' installs them")
        shutil.copy(binaries / "kube", target)
        parts = [*(binaries / name for name in BUILT), *(cni / name for name in PLUGINS), Path(runc)]
        with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for part in parts:
                archive.write(part, part.name)
            archive.writestr("pause.tar", images.pause().archive())
    target.chmod(0o755)
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.cluster.pack FILE")
    print(pack(Path(sys.argv[1])))

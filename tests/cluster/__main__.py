"""A cluster to try things by hand: it stays until Ctrl-C.

python -m tests.cluster --nodes 3 --name mine
"""

from __future__ import annotations

import argparse
import signal
import sys

from tests.cluster import CannotRun, Cluster
from tests.cluster.build import BuildFailed, built


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    options.add_argument("--nodes", type=int, default=1)
    options.add_argument("--name", default="hand")
    options.add_argument("--cpus", type=float, help="CPU seconds per second each node may use")
    options.add_argument("--build", action="store_true", help="build the programs only and print their folder")
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        if chosen.build:
            print(built())
            return 0
        with Cluster(nodes=chosen.nodes, name=chosen.name, cpus=chosen.cpus) as cluster:
            print(cluster.kubectl("get", "nodes", "-o", "wide"))
            print(f"export KUBECONFIG={cluster.kubeconfig}")
            print(f"pods reach this machine at {cluster.runtime_address}; Ctrl-C ends it", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except (CannotRun, BuildFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The tables of 2021 as one picture: a panel for each number of nodes, a line for each way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.cluster.tables import WAYS

COLOURS = ("#b8b8b8", "#8ab6d6", "#2a6f97", "#f4a259", "#5b8e7d")


def draw(result: dict[str, Any], path: Path) -> Path:
    """Write the picture (SVG) to `path`."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "bench", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = pyplot.subplots(1, len(result), figsize=(3.4 * len(result) + 1.6, 3.3), sharey=True, squeeze=False)
    for axis, (nodes, rows) in zip(axes[0], result.items(), strict=True):
        for way, colour in zip(WAYS, COLOURS, strict=True):
            axis.plot(range(len(rows)), [row[way]["mean_ms"] for row in rows.values()], "o-", color=colour, label=way)
        axis.set_xticks(range(len(rows)), list(rows))
        axis.set_yscale("log")
        axis.set_xlabel("events at once")
        axis.set_title(f"{nodes} node{'s' if nodes != '1' else ''}")
    axes[0][0].set_ylabel("mean time of an event, ms")
    axes[0][-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path

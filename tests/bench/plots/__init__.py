"""The results as one picture: speed, latency, memory, wear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

OURS, OTHERS = "#2a6f97", "#b8b8b8"
Results = dict[str, dict[str, Any]]


def draw(results: Results, path: Path) -> Path:
    """Write the picture (SVG) to `path`, with a panel for each result there is."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams.update({"svg.hashsalt": "bench", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    panels: dict[str, Callable[[Any, Results], None]] = {
        "intake": _intake, "reaction": _latency, "memory": _memory, "wear": _wear,
    }  # fmt: skip
    wanted = [panel for name, panel in panels.items() if name in results] or [_nothing]
    figure, axes = pyplot.subplots(1, len(wanted), figsize=(3.6 * len(wanted), 3.1), squeeze=False)
    for axis, panel in zip(axes[0], wanted, strict=True):
        panel(axis, results)
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path


def _intake(axis: Any, results: Results) -> None:
    live = {name: [each["rate"] for each in rounds] for name, rounds in results["intake"]["live"].items() if rounds}
    names = {"agent": "agent,\non disk", "node-red": "Node-RED,\nin memory", "naive": "one commit\nper message"}
    order = [name for name in names if name in live]
    middle = [sorted(live[name])[len(live[name]) // 2] for name in order]
    axis.bar([names[name] for name in order], middle, color=[OURS if name == "agent" else OTHERS for name in order])
    for place, name in enumerate(order):
        axis.plot([place] * len(live[name]), live[name], "k.", markersize=4)
    axis.set_title("messages a second, live")


def _latency(axis: Any, results: Results) -> None:
    found = [
        ("shared\nfunction", results["reaction"]["shared"]["ms"]),
        ("fresh\nprocess", results["reaction"]["fresh"]["ms"]),
    ]
    if "alarm" in results:
        found.append(("alert,\nunder load", results["alarm"]["ms"]))
    for place, (_, ms) in enumerate(found):
        axis.bar(place - 0.2, ms["p50"], 0.4, color=OURS, label="p50" if not place else None)
        axis.bar(place + 0.2, ms["p99"], 0.4, color=OTHERS, label="p99" if not place else None)
    axis.set_xticks(range(len(found)), [name for name, _ in found])
    axis.legend(frameon=False)
    axis.set_title("reading to answer, ms")


def _memory(axis: Any, results: Results) -> None:
    samples = results["memory"]["samples"]
    minutes = [sample[0] / 60 for sample in samples]
    for column, name, colour in ((1, "RSS", OURS), (3, "USS", OTHERS)):
        axis.plot(minutes, [sample[column] / 1e6 for sample in samples], label=name, color=colour)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("minutes")
    axis.legend(frameon=False)
    axis.set_title("agent memory, MB")


def _wear(axis: Any, results: Results) -> None:
    wear = results["wear"]
    measure = "device" if wear["own_device"] else "process"
    for offset, kind, colour, name in (
        (-0.2, "agent", OURS, "agent"),
        (0.2, "naive", OTHERS, "one commit per reading"),
    ):
        values = [found[measure] for found in wear[kind].values()]
        axis.bar([place + offset for place in range(len(values))], values, 0.4, color=colour, label=name)
    axis.set_xticks(range(len(wear["agent"])), [f"{int(rate):,}/s" for rate in wear["agent"]])
    axis.set_yscale("log")
    axis.legend(frameon=False)
    axis.set_title("bytes written per reading")


def _nothing(axis: Any, results: Results) -> None:
    axis.set_axis_off()

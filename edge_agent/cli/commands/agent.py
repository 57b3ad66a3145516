"""The appliance's service: what systemd starts."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import click

DEFAULT = Path("/etc/edge-agent/edge.toml")


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path), default=DEFAULT, show_default=True, help="Configuration file (TOML)."
)
def command(config: Path) -> None:
    """The appliance's service: what systemd starts. The broker is outside.

    Tells systemd when it is ready, reloading and stopping, and feeds its watchdog. SIGHUP reads rules and functions again
    without losing a message; SIGTERM stops.

    \b
    Example:
      edgectl agent --config /etc/edge-agent/edge.toml
    """
    import sdnotify

    from edge_agent import logs
    from edge_agent.cli.serving import Serving, Signals, log_configuration
    from edge_agent.settings import load

    loaded = load(config, os.environ, {})
    logs.set_up(loaded.settings.log.format, loaded.settings.log.level)
    log = logging.getLogger(__name__)
    log_configuration(loaded, everything=True)
    systemd = sdnotify.SystemdNotifier()
    serving = Serving(loaded.settings)

    def reload() -> None:
        # Type=notify-reload wants the moment the reload began (sd_notify(3), RELOADING=1).
        systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        serving.reload()
        systemd.notify("READY=1")

    signals = Signals(reload)
    serving.start()
    systemd.notify(f"READY=1\nSTATUS=page at {serving.url}")
    log.info("ready: page at %s", serving.url)
    pause = watchdog_pause()
    try:
        while not signals.wait(pause):
            serving.appliance.rules()  # takes the pipeline's lock: a stuck pipeline feeds no watchdog
            systemd.notify("WATCHDOG=1")
    finally:
        systemd.notify("STOPPING=1")
        log.info("stopping")
        serving.stop()
        log.info("stopped")


def watchdog_pause() -> float | None:
    """Seconds between two signs of life: half of what systemd allows (sd_watchdog_enabled(3)); None: nobody watches."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    allowed = os.environ.get("WATCHDOG_USEC", "")
    return int(allowed) / 2_000_000 if allowed.isdigit() and int(allowed) else None

"""Look at the page without an appliance: `python -m tests.web.look` serves it with pretend boards; `--shots DIR` takes shots.

Phone and desktop, light and dark; what a person should look at before changing how the page looks.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
import threading
from pathlib import Path
from typing import Any

from edge_agent.web.accounts import Accounts
from edge_agent.web.application import create_app
from edge_agent.web.server import Server
from tests.web.conftest import manifest
from tests.web.fake_appliance import FakeAppliance, clock

SIZES = {"phone": (390, 844), "desktop": (1280, 800)}
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def furnish(appliance: FakeAppliance, devices: int) -> None:
    """Rules, functions, and a day of readings."""
    rng = random.Random(7)
    words = {"below": 20, "severity": "critical", "run": ["send-mail"], "message": "{device} is down to {value} %"}
    rules = [
        manifest("Rule", "tank-low", devices="tank-*", reading="level", **words),
        manifest(
            "Rule",
            "cellar-damp",
            devices="cellar",
            reading="humidity",
            above=70,
            message="Damp in the {device}: {value} %",
        ),
    ]
    for found in rules:
        appliance.put_manifest("Rule", found["metadata"]["name"], found)
    for name in ("send-mail", "close-valve"):
        appliance.put_manifest("Function", name, manifest("Function", name))
    now = clock()
    appliance.standing = {
        "send-mail": {
            "workers": {"idle": 0, "busy": 1, "starting": 0}, "queue": 12, "desired": 4, "min_idle": 2, "override": None,
            "schedule": {"until": now + 2 * 3600_000}, "panic": True,
            "delayed": {
                "reason": "heat", "seconds": 4.0,
                "why": "84 °C, the board throttles; workers start one every 10 s until it is below 75 °C "
                "(more air, a heat sink or a fan help)",
            },
            "advice": "events come faster than fresh workers start: raise pool.minIdle, so that more wait in advance, or use "
            "isolation: process, a fresh process for each event in a worker that stays",
        },
        "close-valve": {"workers": {"idle": 3}, "desired": 3, "min_idle": 3, "override": 3, "schedule": None},
    }  # fmt: skip
    furnish_usage(appliance, rng, now)
    for number, (device, reading, base, swing) in enumerate(plan(devices)):
        points = appliance.points.setdefault((device, reading), [])
        for minute in range(24 * 60, 0, -1):
            if device == "shed" and 300 < minute < 420:
                continue
            points.append((now - minute * 60_000, value(base, swing, number, now - minute * 60_000, rng)))
    appliance.ingest("hall", json.dumps({"readings": {"door": False, "light": 214}}).encode())
    beat(appliance, devices, rng)
    appliance.ingest("tank-2", b'{"readings": {"level": 18.2}}')
    appliance.call("close-valve", "tank-2/7f3a9c01d2e4b586/43/fail", "please fail", cause="rule tank-low")
    appliance.boards["shed"] |= {"online": False, "last_seen": now - 5 * 3600_000}
    appliance.boards["living-room"]["label"] = "Living room"


def furnish_usage(appliance: FakeAppliance, rng: random.Random, now: int) -> None:
    """A day, an hour and a week of two functions: one busy with a bad hour, one that runs once in a while."""
    for step in (60_000, 3_600_000, 6 * 3_600_000):
        for back in range(170, 0, -1):
            t = now - now % step - back * step
            busy = round(step / 60_000 * (4 + 3 * math.sin(t / 1.4e7)) * rng.uniform(0.6, 1.2))
            failed = round(busy * 0.4) if back == 9 else 0
            rare = int(rng.random() < step / 4e7)
            for name, count, errors, p95 in (("send-mail", busy, failed, 84.0), ("close-valve", rare, 0, 2300.0)):
                if count:
                    appliance.used.setdefault((name, step), []).append(
                        {
                            "t": t, "invocations": count, "errors": errors, "cold_starts": 0, "gb_seconds": count * 0.004,
                            "errors_by_kind": {"timeout": errors} if errors else {}, "mean_ms": p95 / 2, "p95_ms": p95,
                        }
                    )  # fmt: skip


def plan(devices: int) -> list[tuple[str, str, float, float]]:
    fixed = [
        ("tank-1", "level", 61.0, 9.0),
        ("tank-2", "level", 24.0, 3.0),
        ("living-room", "temperature", 20.6, 1.4),
        ("living-room", "humidity", 46.0, 5.0),
        ("cellar", "temperature", 11.2, 0.4),
        ("cellar", "humidity", 71.0, 4.0),
        ("shed", "temperature", 4.0, 6.0),
        ("greenhouse", "temperature", 17.0, 7.0),
        ("greenhouse", "humidity", 66.0, 12.0),
        ("greenhouse", "light", 800.0, 700.0),
        ("boiler", "temperature", 54.0, 4.0),
        ("boiler", "power", 870.0, 320.0),
    ]
    return fixed + [(f"room-{number}", "temperature", 19.0 + number % 5, 2.0) for number in range(devices - 9)]


def value(base: float, swing: float, number: int, t: int, rng: random.Random) -> float:
    hours = t / 3600_000
    return round(base + swing * math.sin(hours / 3.8 + number) + swing * 0.15 * rng.gauss(0, 1), 1)


def beat(appliance: FakeAppliance, devices: int, rng: random.Random) -> None:
    """One reading of everything."""
    said: dict[str, dict[str, Any]] = {}
    for number, (device, reading, base, swing) in enumerate(plan(devices)):
        said.setdefault(device, {})[reading] = value(base, swing, number, clock(), rng)
    for device, readings in said.items():
        if device not in ("tank-2", "shed") or device not in appliance.boards:
            appliance.ingest(device, json.dumps({"readings": readings}).encode())


def shoot(address: str, accounts: Accounts, appliance: FakeAppliance, folder: Path) -> None:
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                page = context.new_page()
                page.goto(f"{address}/signin")
                page.wait_for_selector("#password-form:not([hidden])")
                page.screenshot(path=folder / f"signin-{size}-{scheme}.png")
                page.goto(f"{address}/signin#{accounts.create_link()}")
                page.wait_for_selector(".device")
                page.wait_for_timeout(2500)
                page.screenshot(path=folder / f"page-{size}-{scheme}.png")
                page.screenshot(path=folder / f"whole-{size}-{scheme}.png", full_page=True)
                page.click("[title='Plot humidity of cellar']")
                page.click("[data-range='24h']")
                page.wait_for_selector("#plot .band")
                page.locator("#plot-frame").hover()
                page.screenshot(path=folder / f"plot-{size}-{scheme}.png")
                page.keyboard.press("Escape")
                page.click("text=Acknowledge")
                appliance.alarm("disk-full", "The disk is full: boards keep their readings until there is room")
                page.wait_for_selector(".alarm")
                page.wait_for_selector(".acked")
                page.screenshot(path=folder / f"alarm-{size}-{scheme}.png")
                appliance.alarm("disk-full", "", active=False)
                for alert in appliance.episodes.values():
                    alert |= {"acked_by": "", "acked_at": None}
                context.close()
        browser.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--devices", type=int, default=14)
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--shots", type=Path)
    chosen = options.parse_args()
    appliance = FakeAppliance()
    furnish(appliance, chosen.devices)
    accounts = Accounts(Path(tempfile.mkdtemp()) / "accounts.json", clock)
    server = Server(create_app(appliance, accounts), "127.0.0.1", chosen.port)
    address = f"http://127.0.0.1:{server.start()}"
    stop = threading.Event()
    rng = random.Random(1)

    def live() -> None:
        while not stop.wait(1.0):
            beat(appliance, chosen.devices, rng)

    talking = threading.Thread(target=live)
    talking.start()
    try:
        if chosen.shots:
            shoot(address, accounts, appliance, chosen.shots)
        else:
            print(f"{address}/signin#{accounts.create_link()}")
            stop.wait()
    except KeyboardInterrupt:
        pass
    finally:
        stop.set()
        talking.join()
        server.stop()


if __name__ == "__main__":
    main()

"""The page in a real browser: signing in, seeing what happens as it happens, and what it says when it cannot know."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from edge_agent.web.accounts import Accounts
from edge_agent.web.server import Server
from tests.web.conftest import manifest
from tests.web.look import CHROMIUM

STATIC = Path(__file__).parents[2] / "edge_agent" / "web" / "static"
PHONE = {"width": 390, "height": 844}
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("needs a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser, server: str) -> Iterator[BrowserContext]:
    """A browser that has seen nothing yet. Whatever it complains about, and whatever it asks others for, fails the test."""
    made = chromium.new_context(viewport=PHONE)
    complaints: list[str] = []
    made.on("weberror", lambda error: complaints.append(str(error.error)))
    made.on("console", lambda line: complaints.append(line.text) if "Content Security Policy" in line.text else None)
    made.on(
        "request",
        lambda request: None if request.url.startswith((server, "data:", "blob:")) else complaints.append(request.url),
    )
    yield made
    made.close()
    assert complaints == []


@pytest.fixture
def page(context: BrowserContext, server: str, accounts: Accounts) -> Page:
    """Signed in and live."""
    opened = context.new_page()
    opened.goto(f"{server}/signin#{accounts.create_link()}")
    expect(opened.locator("#link")).to_have_text("Live")
    return opened


def publish(caller: httpx.Client, device: str = "tank-1", **readings: Any) -> None:
    assert caller.post(f"/api/v1/devices/{device}/readings", json={"readings": readings}).status_code == 202


def value(page: Page, device: str, reading: str) -> Any:
    return page.locator(f"[title='Plot {reading} of {device}'] .value")


def test_a_sign_in_link_works_once_and_does_not_stay_in_the_address(context, chromium, server, accounts):
    link = f"{server}/signin#{accounts.create_link()}"
    first = context.new_page()
    first.goto(link)
    expect(first.locator("h1")).to_have_text("home")
    expect(first).to_have_url(f"{server}/")
    first.reload()
    expect(first.locator("#link")).to_have_text("Live")
    other = chromium.new_context()
    second = other.new_page()
    second.goto(link)
    expect(second.locator("#message")).to_contain_text("used already")
    assert "#" not in second.url
    second.goto(server)
    expect(second).to_have_url(f"{server}/signin")
    other.close()


def test_a_user_signs_in_with_a_password_and_out_again(context, server, accounts):
    accounts.add_user("ada", "correct horse battery")
    page = context.new_page()
    page.goto(server)
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#message")).to_have_text("Name or password is wrong.")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#link")).to_have_text("Live")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{server}/signin")
    page.goto(server)
    expect(page).to_have_url(f"{server}/signin")


def test_an_empty_appliance_tells_the_next_step(page):
    expect(page.get_by_text("No board has reported yet")).to_be_visible()
    expect(page.get_by_text("edgectl publish tank-1 level=42")).to_be_visible()
    expect(page.get_by_text("edgectl apply -f rule.yaml")).to_be_visible()
    expect(page.get_by_text("edgectl functions new my-function")).to_be_visible()


def test_a_reading_arrives_without_asking(page, caller):
    publish(caller, level=18.2, door=True, note="dry")
    expect(value(page, "tank-1", "level")).to_have_text(re.compile(r"^18\.2"))
    expect(value(page, "tank-1", "door")).to_have_text("yes")
    expect(value(page, "tank-1", "note")).to_have_text("dry")
    publish(caller, level=17.9)
    expect(value(page, "tank-1", "level")).to_have_text(re.compile(r"^17\.9"))
    expect(page.locator(".device .seen")).to_have_text(re.compile("now|ago"))
    assert page.locator(".device").count() == 1


def test_an_alert_appears_is_acknowledged_and_goes(page, caller, tank_low):
    caller.put("/api/v1/rules/tank-low", json=tank_low)
    publish(caller, level=10)
    alert = page.locator(".alert")
    expect(alert).to_contain_text("Critical")
    expect(page.locator("#announcer")).to_contain_text("critical alert")
    expect(page).to_have_title("(1) home")
    expect(page.locator(".device.firing.critical")).to_have_count(1)
    page.get_by_role("button", name=re.compile("^Acknowledge")).click()
    expect(alert).to_contain_text("Seen by owner")
    expect(page).to_have_title("home")
    assert caller.get("/api/v1/alerts").json()["items"][0]["acked_by"] == "owner"
    publish(caller, level=80)
    expect(alert).to_have_count(0)
    expect(page.locator(".device.firing")).to_have_count(0)


def test_a_storm_of_alerts_leaves_the_devices_within_reach(page, caller, tank_low):
    caller.put("/api/v1/rules/tank-low", json=tank_low)
    for number in range(9):
        publish(caller, f"tank-{number}", level=10)
    expect(page).to_have_title("(9) home")
    expect(page.locator(".alert")).to_have_count(4)
    page.get_by_role("button", name="Show 5 more").click()
    expect(page.locator(".alert")).to_have_count(9)


def test_who_may_only_read_has_no_button_to_press(context, server, accounts, caller, tank_low):
    caller.put("/api/v1/rules/tank-low", json=tank_low)
    publish(caller, level=10)
    page = context.new_page()
    page.goto(f"{server}/signin#{accounts.create_link(['read'])}")
    expect(page.locator(".alert")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("Acknowledge"))).to_have_count(0)


def test_a_function_that_ran_is_listed_with_how_it_ended(page, caller, echo):
    caller.put("/api/v1/functions/echo", json=echo)
    caller.post("/api/v1/functions/echo/invocations", json={"hello": 1})
    expect(page.locator(".invocation.answered .name")).to_have_text(re.compile("^echo"))


def test_alarms_of_the_appliance_come_and_go(page, fake):
    fake.alarm("disk-full", "The disk is full")
    expect(page.locator(".alarm")).to_have_text("The disk is full")
    fake.alarm("disk-full", "", active=False)
    expect(page.locator(".alarm")).to_have_count(0)


def test_a_reading_can_be_plotted_with_the_keyboard_alone(page, caller, tank_low):
    caller.put("/api/v1/rules/tank-low", json=tank_low)
    for level in (30, 25, 28):
        publish(caller, level=level)
    reading = page.locator("[title='Plot level of tank-1']")
    expect(reading).to_be_visible()
    page.reload()
    reading.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("28")
    expect(dialog.locator("svg[role=img]")).to_have_attribute(
        "aria-label", re.compile("level of tank-1, last 1h: from 25 to 30")
    )
    expect(dialog.locator(".limit-name")).to_have_text("tank-low: below 20")
    dialog.get_by_role("button", name="24 h").click()
    expect(dialog.locator("svg[role=img]")).to_have_attribute("aria-label", re.compile("last 24h"))
    page.locator("#plot-frame").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#plot-cursor")).to_contain_text("27.67 % (25 to 30)")
    with page.expect_download() as saved:
        page.get_by_text("Values as CSV").click()
    assert saved.value.suggested_filename == "tank-1-level-24h.csv"
    assert Path(saved.value.path()).read_text().startswith("t,value")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(reading).to_be_focused()


def test_a_lost_connection_is_said_and_what_was_missed_is_made_up_for(chromium, app: Flask, accounts, visitor):
    first = Server(app, "127.0.0.1", 0)
    port = first.start()
    publisher = visitor("ingest")
    publisher("POST", "/api/v1/devices/tank-1/readings", json={"readings": {"level": 50}})
    context = chromium.new_context(viewport=PHONE)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{port}/signin#{accounts.create_link()}")
    expect(value(page, "tank-1", "level")).to_have_text(re.compile("^50"))
    first.stop()
    expect(page.locator("#banner-text")).to_have_text(re.compile(r"Not connected, showing the state of \d+:\d\d:\d\d"))
    expect(page.locator("#link")).to_have_text("Not connected")
    publisher("POST", "/api/v1/devices/tank-1/readings", json={"readings": {"level": 40}})
    app.extensions["edge.streams"].closing.clear()
    second = Server(app, "127.0.0.1", port)
    second.start()
    page.get_by_role("button", name="Try now").click()
    expect(value(page, "tank-1", "level")).to_have_text(re.compile("^40"), timeout=20_000)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#link")).to_have_text("Live")
    context.close()
    second.stop()


def test_without_a_free_live_connection_the_page_still_shows_what_is(context, app, server, accounts, caller):
    publish(caller, level=50)
    streams = app.extensions["edge.streams"]
    assert all(streams.take() for _ in range(streams.limit))
    page = context.new_page()
    page.goto(f"{server}/signin#{accounts.create_link()}")
    expect(value(page, "tank-1", "level")).to_have_text(re.compile("^50"))
    expect(page.locator("#banner-text")).to_contain_text("Not connected, showing the state of")


def test_a_session_that_ended_leads_to_the_sign_in_page(page, server, accounts, app):
    expect(page.locator("#status")).to_contain_text("Broker connected")  # nothing it asked for is still on its way
    for digest in list(accounts._ledger.sessions):
        accounts._ledger.sessions.pop(digest)
    # The click leads away, which may end the script that made it: not before that has returned.
    page.evaluate("setTimeout(() => document.getElementById('retry').click())")
    expect(page).to_have_url(f"{server}/signin", timeout=15_000)


def test_a_thousand_devices_can_be_filtered_and_only_what_is_seen_is_asked_for(context, server, accounts, fake):
    for number in range(1000):
        fake.store(f"room-{number}", [{"readings": {"temperature": 20, "humidity": 50}}])
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url) if "/readings?" in request.url else None)
    page = context.new_page()
    page.goto(f"{server}/signin#{accounts.create_link()}")
    expect(page.locator(".device")).to_have_count(1000)
    expect(page.locator(".device").first.locator(".spark path").first).to_have_attribute("d", re.compile("^M"))
    for number in range(1000):
        fake.store(f"room-{number}", [{"readings": {"temperature": 21, "humidity": 50}}])
    expect(value(page, "room-0", "temperature")).to_have_text(re.compile("^21"))
    page.get_by_role("searchbox").fill("room-77")
    expect(page.locator("#devices-count")).to_have_text("11 of 1,000")
    expect(value(page, "room-779", "temperature")).to_have_text(re.compile("^21"))
    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.get_by_text("No device matches")).to_be_visible()
    assert len(asked) < 60


def test_nothing_sticks_out_sideways(page, caller, tank_low):
    caller.put(
        "/api/v1/rules/tank-low", json={**tank_low, "spec": {**tank_low["spec"], "message": "a-very-long-word-" * 12}}
    )
    long = "a" * 60
    publish(caller, "tank-" + "1" * 50, level=10)
    publish(caller, **{long: 123456.789, "note": "word " * 40})
    expect(page.locator(".device")).to_have_count(2)
    expect(page.locator(".alert")).to_have_count(1)
    for width in (320, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_that_can_be_pressed_has_a_name(page, caller, tank_low):
    caller.put("/api/v1/rules/tank-low", json=tank_low)
    publish(caller, level=10)
    expect(page.locator(".alert")).to_be_visible()
    for button in page.get_by_role("button").all():
        assert button.evaluate("e => (e.ariaLabel || e.innerText).trim()")
    for landmark in ("banner", "main", "contentinfo"):
        expect(page.get_by_role(landmark)).to_have_count(1)
    assert page.locator("h1").count() == 1


def test_text_can_be_read_in_the_light_and_in_the_dark():
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    sheet = (STATIC / "page.css").read_text()
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", sheet.partition("@media")[0]))
    dark = light | dict(
        re.findall(r"--([\w-]+): (#[0-9a-f]{6})", sheet.partition("prefers-color-scheme: dark")[2].partition("* {")[0])
    )
    assert light["ground"] != dark["ground"]
    pairs = [(text, ground) for text in ("text", "soft", "accent") for ground in ("ground", "surface", "raised")]
    pairs += [(tone, ground) for tone in ("critical", "warning", "info") for ground in (f"{tone}-ground", "surface")]
    pairs += [("soft", f"{tone}-ground") for tone in ("critical", "warning", "info")] + [("accent-text", "accent")]
    for colours in (light, dark):
        for text, ground in pairs:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_the_page_names_no_other_place():
    for file in [*STATIC.iterdir(), *(STATIC.parent / "templates").iterdir()]:
        found = set(re.findall(r"https?://[^\s\"'<]+", file.read_text()))
        assert found <= {"http://www.w3.org/2000/svg"}, file


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_functions_show_who_works_how_often_they_ran_and_what_failed(
    page: Page, caller: httpx.Client, fake: Any
) -> None:
    expect(page.locator("#functions")).to_be_hidden()
    caller.put("/api/v1/functions/send-mail", json=manifest("Function", "send-mail", command=["cat"]))
    for event in ("1", "2", '"fail"'):
        caller.post("/api/v1/functions/send-mail/invocations", content=event)
    card = page.locator(".function")
    expect(card.locator("h3")).to_have_text("send-mail")
    expect(card.locator(".figures")).to_contain_text("Ran3")
    expect(card.locator(".figures .bad")).to_have_text("1 33 %")
    expect(card.locator(".crew")).to_have_text("1 idle")
    expect(card.locator(".rate")).to_have_text("3 in 5 min")
    expect(card.locator(".bars g")).to_have_count(1)
    expect(card.locator(".bars title")).to_contain_text("3 invocations, 1 failed")
    expect(card.locator(".axis")).to_contain_text("24 h ago")
    page.click("#functions-ranges [data-span='1h']")
    expect(card.locator(".axis")).to_contain_text("1 h ago")
    expect(page.locator("#functions-ranges [aria-pressed='true']")).to_have_text("1 h")
    fake.standing["send-mail"] = {
        "desired": 4, "override": None, "panic": True, "schedule": {"until": 4_000_000_000_000}, "min_idle": 2,
        "delayed": {"reason": "heat", "why": "84 °C, <b>the board</b> throttles", "seconds": 1.0}, "advice": "raise it",
    }  # fmt: skip
    page.reload()
    expect(card.locator(".held")).to_have_text("The next worker waits: 84 °C, <b>the board</b> throttles.")
    expect(card.locator(".advice")).to_have_text("Raise it.")
    expect(card.locator(".wanted")).to_have_text("4 workers wanted, 1 there.")
    expect(card.locator(".hour")).to_contain_text("Scheduled: 2 to wait in advance until")
    expect(card.locator(".rush")).to_be_visible()
    fake.standing["send-mail"] = {"override": 3, "delayed": None}
    page.reload()
    expect(card.locator(".notes li")).to_have_text(["Scaled by hand: 3 to wait in advance."])
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.locator("#functions-count").evaluate("node => node.getClientRects()[0].height") < 30, "in one line"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    caller.delete("/api/v1/functions/send-mail", headers={"If-Match": "*"})
    page.reload()
    expect(page.locator("#link")).to_have_text("Live")
    expect(page.locator("#functions")).to_be_hidden()

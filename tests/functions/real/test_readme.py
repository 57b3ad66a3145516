"""The five minutes of functions/README.md, run as they stand there, word for word."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import free_port
from tests.functions.real.stage import FUNCTIONS
from tests.waiting import eventually

HANDLER = """
def lambda_handler(event, context):
    print("the tank is at", event["data"]["value"])
    return {"statusCode": 200, "body": "noted"}
"""


def commands(title: str) -> list[str]:
    """The indented blocks of one section, in order."""
    section = (FUNCTIONS / "README.md").read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.M)
    return [re.sub(r"^    ", "", block, flags=re.M).strip() + "\n" for block in blocks if block.strip()]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A user's empty home, and the appliance that the first command starts."""
    environment = os.environ | {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("XDG_DATA_HOME", None)
    with zipfile.ZipFile(tmp_path / "my-lambda.zip", "w") as archive:
        archive.writestr("lambda_function.py", HANDLER)
    first = commands("From a zip to an alert in five minutes")[0]
    assert first == "edgectl run --no-demo\n"
    ports = f" --port {free_port()} --mqtt-port {free_port()}"
    with (tmp_path / "run.log").open("wb") as log:
        agent = subprocess.Popen(
            ["bash", "-c", "exec " + first.strip() + ports], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
    try:
        eventually(lambda: "http" in (tmp_path / "run.log").read_text(), timeout=40)
        yield environment
    finally:
        agent.send_signal(signal.SIGINT)
        agent.wait(30)


def run(script: str, home: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=script,
        capture_output=True,
        text=True,
        cwd=home["HOME"],
        env=home,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_a_lambda_user_gets_from_a_zip_to_an_alert(home: dict[str, str]) -> None:
    _, unpack, deploy, rule, publish = commands("From a zip to an alert in five minutes")
    run(unpack, home)
    said = run(deploy, home)
    assert "noted" in said
    eventually(lambda: "the tank is at 18.2" in run(deploy.splitlines()[-1], home))
    run(rule, home)
    run(publish.splitlines()[0], home)
    look = "\n".join(publish.splitlines()[1:])
    eventually(lambda: re.search(r"tank-1 is down to 18.2 %", run(look, home)))
    eventually(lambda: run(look, home).count("the tank is at 18.2") >= 2)


def test_a_new_function_is_made_and_tested_as_it_says(home: dict[str, str]) -> None:
    (make, *_) = commands("How to write one")
    run(make, home)
    assert (Path(home["HOME"]) / "my-function" / "function.yaml").is_file()

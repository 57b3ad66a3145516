"""A new function as a folder that works at once: what `edgectl functions new` writes.

In: a name and a language. Out: files from `templates/<language>` and `templates/common`, every @WORD@ filled in. Guarantee:
nothing that is there is written over. Not chosen: a template engine; the templates are files that run as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_agent.domain.topics import is_name, to_name
from edge_agent.errors import Conflict, EdgeError, Fault, Invalid

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Language:
    """`runs` is the manifest's command; `files` says what each file holds; `needs` and `built` what a person has to do."""

    title: str
    runs: str
    files: dict[str, str]
    needs: str
    memory: str = "64Mi"
    built: bool = False


_CLIENT = "written out; nothing to install"
LANGUAGES = {
    "python": Language(
        "Python",
        "command: [python3, bootstrap.py]\nargs: [handler.handler]",
        {
            "handler.py": "what it does: change this",
            "test_handler.py": "its test",
            "bootstrap.py": f"the client of the Runtime API, {_CLIENT}",
        },
        "Nothing but Python 3.11, which the agent itself runs on. What else you import: `pip install --target . PACKAGE`, or\n"
        "a virtual environment whose `python` the manifest names as its command.",
    ),
    "node": Language(
        "JavaScript (Node.js)",
        "command: [node, bootstrap.mjs]\nargs: [handler.handler]",
        {
            "handler.mjs": "what it does: change this",
            "handler.test.mjs": "its test",
            "bootstrap.mjs": f"the client of the Runtime API, {_CLIENT}",
        },
        "Node.js 20 or newer, found on the PATH of the agent (`/usr/local/bin`, `/usr/bin`). Packages: `npm install` in this\n"
        "folder; `node_modules` is deployed with it.",
        memory="128Mi",
    ),
    "go": Language(
        "Go",
        "command: [./bootstrap]",
        {
            "handler.go": "what it does: change this",
            "handler_test.go": "its test",
            "main.go": "starts it with aws-lambda-go, AWS's own client",
        },
        "Go 1.18 or newer to build, nothing to run. For a Raspberry Pi, built elsewhere: `GOOS=linux GOARCH=arm64 make build`.",
        built=True,
    ),
    "rust": Language(
        "Rust",
        "command: [./bootstrap]",
        {
            "src/main.rs": "what it does, and its test: change this",
            "Cargo.toml": "its dependencies: lambda_runtime, AWS's own client",
        },
        "Rust 1.84 or newer to build, nothing to run.",
        built=True,
    ),
    "java": Language(
        "Java",
        'command: [java, -Xmx128m, -XX:+UseSerialGC, -cp, "build/classes:build/lib/*",\n'
        "          com.amazonaws.services.lambda.runtime.api.client.AWSLambda]\n"
        'args: ["Handler::handleRequest"]',
        {
            "Handler.java": "what it does: change this",
            "HandlerTest.java": "its test",
            "pom.xml": "its dependencies: AWS's own client",
        },
        "A JDK 17 or newer and Maven to build, a Java runtime to run.",
        memory="256Mi",
        built=True,
    ),
    "shell": Language(
        "shell (busybox)",
        "command: [./bootstrap]",
        {
            "handler.sh": "what it does: change this",
            "test.sh": "its test",
            "bootstrap": "asks for events and hands them to the handler",
        },
        "Nothing but busybox, which is on every Raspberry Pi OS and in every Alpine image.",
    ),
}


def make(name: str, language: str, folder: Path) -> dict[Path, str]:
    """The files of the function, by where they go. Errors: `Invalid` (the name), `Conflict` (something is there)."""
    if not is_name(name) or name.strip("-") != name:
        nearest = to_name(name)
        hint = f"{nearest} would do" if nearest else "for example tank-advice"
        message = f"{name!r} is no name: a-z, 0-9 and - inside, at most 63 characters"
        raise Invalid([Fault("NAME", 0, 0, "name", message, hint)])
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{folder} is there already and is not written over; choose another name, or --dir")
    words = _words(name, LANGUAGES[language])
    made = {}
    for source in (TEMPLATES / "common", TEMPLATES / language):
        for path in sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            text = path.read_text(encoding="utf-8")
            for word, value in words.items():
                text = text.replace(f"@{word}@", value)
            made[folder / path.relative_to(source)] = text
    return made


def write(files: dict[Path, str]) -> None:
    """Errors: `EdgeError` when the disk says no."""
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
            if text.startswith("#!"):
                path.chmod(0o755)
    except OSError as error:
        raise EdgeError(f"{error.filename} cannot be written: {error.strerror}") from error


def _words(name: str, language: Language) -> dict[str, str]:
    files = {**language.files, "Makefile": "`make test`" + (", `make build`" if language.built else "")}
    return {
        "NAME": name,
        "TITLE": language.title,
        "RUNS": "\n".join(f"  {line}" for line in language.runs.splitlines()),
        "MEMORY": language.memory,
        "FILES": "\n".join(f"| `{file}` | {what} |" for file, what in files.items()),
        "NEEDS": language.needs,
        "BUILD": "\n    make build" if language.built else "",
    }

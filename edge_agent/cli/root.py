"""The command `edgectl` itself: finds its commands, and turns errors into one sentence and an exit code.

`edgectl --help` imports no command: the help line of each is the first line of its file.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from edge_agent import __version__
from edge_agent.cli.unreachable import NotReachable
from edge_agent.errors import EdgeError, Invalid

COMMANDS = Path(__file__).parent / "commands"
DONE, FAILED, BAD_INPUT, NOT_REACHABLE = 0, 1, 2, 3


class Commands(click.Group):
    """A group whose commands are the files of `commands/`: `deadletters.py` holds `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(file.stem for file in COMMANDS.glob("*.py") if file.stem != "__init__")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        found: click.Command = importlib.import_module(f"edge_agent.cli.commands.{cmd_name}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            from edge_agent.wording import nearest

            meant = nearest(args[0], self.list_commands(ctx))
            hint = f"did you mean {meant}?" if meant else "edgectl --help lists all"
            raise click.UsageError(f"there is no command {args[0]}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _headline(name)) for name in self.list_commands(ctx)])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, report, leave with the exit code."""
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:  # `edgectl ... | head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(DONE)
        except click.exceptions.Abort:
            click.echo("stopped", err=True)
            sys.exit(FAILED)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback for people
            sys.exit(report(error))
        sys.exit(code if isinstance(code, int) else DONE)


def report(error: Exception) -> int:
    """Say what went wrong in one sentence on standard error; the exit code."""
    if debugging():
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, Invalid):
        for fault in error.faults:
            click.echo(str(fault), err=True)
        count = len(error.faults)
        click.echo(f"{count} fault{'s' if count != 1 else ''} found; nothing was changed", err=True)
        return BAD_INPUT
    if isinstance(error, EdgeError):
        click.echo(f"error: {error}", err=True)
        return NOT_REACHABLE if isinstance(error, NotReachable) else FAILED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"error: {where}{error.strerror or error}", err=True)
        return FAILED
    click.echo(f"error: {type(error).__name__}: {error}; please report it with the output of --debug", err=True)
    return FAILED


def debugging() -> bool:
    return bool(os.environ.get("EDGECTL_DEBUG"))


def _debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        os.environ["EDGECTL_DEBUG"] = "1"
        logging.basicConfig(level=logging.DEBUG)


def _headline(name: str) -> str:
    with (COMMANDS / f"{name}.py").open(encoding="utf-8") as file:
        return file.readline().strip().strip('"').rstrip(".")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="edgectl")
@click.option(
    "--debug", is_flag=True, expose_value=False, is_eager=True, callback=_debug, help="Show tracebacks and debug logs."
)
def edgectl() -> None:
    """Run an edge appliance and talk to it.

    \b
    Example:
      edgectl run              everything on this machine, with simulated boards
      edgectl status           one screen of how things are
      edgectl COMMAND --help   what a command takes, with an example

    Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 agent not reachable.
    """

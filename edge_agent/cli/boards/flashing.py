"""A board on a cable gets MicroPython, the firmware, and the configuration it was provisioned with."""

from __future__ import annotations

from pathlib import Path

import click

from edge_agent.cli.boards.provisioning import boards_of, data_of
from edge_agent.cli.client import Agent
from edge_agent.cli.options import with_agent
from edge_agent.errors import Refused


@click.command()
@click.argument("device")
@click.option("--port", default="", help="Its serial port.  [default: the only one there is]")
@click.option("--board", default="", metavar="CHIP", help="Refuse any other chip than this, for example ESP32-C3.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder with MicroPython's .bin files and SHA256SUMS.  [default: micropython in the data folder]",
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would be written; the board is asked its name, which restarts it."
)
@with_agent
def flash(agent: Agent, device: str, port: str, board: str, bundle: Path | None, dry_run: bool) -> None:
    """Put MicroPython, the firmware and its configuration onto a board on a cable. After a cut, run it again.

    \b
    Example:
      edgectl devices flash tank-1
      edgectl devices flash tank-1 --port /dev/ttyUSB1 --bundle ~/micropython
    """
    from edge_agent.adapters.boards_micropython import Cable, Firmware, find_port, image_for

    papers = boards_of(agent).file(device)
    boards_of(agent).read(device)
    cable = Cable(find_port(port))
    chip = cable.chip()
    click.echo(f"{cable.port}: {chip}", err=True)
    if board and board.upper() != chip:
        raise Refused(f"the board on {cable.port} is an {chip}, not an {board.upper()}: nothing was written")
    image = image_for(chip, bundle or data_of(agent) / "micropython")
    files = Firmware().files(papers.read_bytes())
    size = sum(map(len, files.values()))
    what = f"MicroPython {image.version} ({image.file.name}, as its SHA256SUMS says), {len(files)} files, {size} bytes"
    if dry_run:
        click.echo(f"{device} on {cable.port} would get {what}")
        return
    click.echo(f"writing {what}", err=True)
    cable.write(chip, image)
    cable.put(files)
    cable.restart()
    click.echo(
        f"{device} is flashed and verified; it starts now. In a minute it is here: edgectl devices show {device}"
    )

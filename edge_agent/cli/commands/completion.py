"""Print the script that teaches a shell to complete edgectl."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that teaches a shell to complete edgectl.

    \b
    Example:
      edgectl completion bash | sudo tee /etc/bash_completion.d/edgectl
      edgectl completion zsh > ~/.zfunc/_edgectl
      edgectl completion fish > ~/.config/fish/completions/edgectl.fish
    """
    from edge_agent.cli.root import edgectl

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(edgectl, {}, "edgectl", "_EDGECTL_COMPLETE").source())

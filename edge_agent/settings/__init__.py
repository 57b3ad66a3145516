"""The configuration: one TOML file, the environment and the command line in; one frozen `Settings` out, or every fault.

Later wins: default, file, environment (`EDGE_SECTION__KEY`), option. Where each value came from is kept, so that
`effective` can say it at start, secrets masked.
"""

from edge_agent.settings.effective import effective, reference
from edge_agent.settings.loading import Loaded, load
from edge_agent.settings.model import Settings

__all__ = ["Loaded", "Settings", "effective", "load", "reference"]

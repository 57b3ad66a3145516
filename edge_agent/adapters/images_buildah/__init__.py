"""Images of functions, built and pushed with buildah. The only place that knows its command line.

Enters: a folder with a Containerfile. Leaves: the image in the registry, and its name by digest.
Guarantee: the name that is returned holds exactly what was built here, whatever is pushed later under the same tag; the same
folder gives the same digest (fixed times, no cache); nothing stays in this machine's storage but what bases it had to fetch.
Not chosen: building on the appliance. A folder's Containerfile runs commands, and an agent takes no commands for its host;
who deploys builds where they are, with their own rights, and the agent is told a name.
"""

from __future__ import annotations

from edge_agent.adapters.images_buildah.access import Access
from edge_agent.adapters.images_buildah.building import Images, Recipe

__all__ = ["Access", "Images", "Recipe"]

"""Rules and functions as people declare them: YAML files of a folder in, frozen specs out, or every fault with its
place.

`load_folder` reads a folder, `parse_text` one text, `dump` writes one manifest, `ManifestFolder` is the folder as a
store that the agent changes one document at a time."""

from edge_agent.manifests.documents import API_VERSION, KINDS
from edge_agent.manifests.folder import Manifests, load_folder, load_paths, parse_text
from edge_agent.manifests.store import ManifestFolder
from edge_agent.manifests.writing import dump

__all__ = ["API_VERSION", "KINDS", "ManifestFolder", "Manifests", "dump", "load_folder", "load_paths", "parse_text"]

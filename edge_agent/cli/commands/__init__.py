"""One file per command; the first line of each is its line in `edgectl --help`."""

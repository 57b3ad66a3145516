"""The edge agent: readings in, rules checked, functions run, alerts out."""

__version__ = "0.1.0"

"""The outside, fenced in: one outside library each, whose exceptions never leave its module."""

"""The tasks: one flat script each, with its network and data."""

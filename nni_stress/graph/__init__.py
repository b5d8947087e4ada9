"""Which clusters of a network are removed together, and the smaller network that remains."""

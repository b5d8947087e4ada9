"""The plugin from the user's own Python: an evolution without manager or port, and its results."""

"""A lineage as text for a terminal and as an HTML page."""

"""StressPruner and its parts: stress, the draw of an offspring, and the budget for it."""

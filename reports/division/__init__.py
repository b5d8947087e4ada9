"""Equal steps: how an evolution should divide them, and what it then reaches beside one shot."""

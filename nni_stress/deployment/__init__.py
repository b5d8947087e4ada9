"""Files of a network for other runtimes and devices: written, checked and measured."""

"""Talks to NNI's manager, and decides where it listens and how its messages are read."""

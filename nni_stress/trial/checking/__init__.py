"""A check of a task before anything runs: its functions, steps of each phase, and the cost."""

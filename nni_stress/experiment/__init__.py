"""Before and around an NNI experiment: checks, hooks in nnictl, start, registration."""

"""Contests of pruners and reports on them; studies and benchmarks. First facts, then drawing."""

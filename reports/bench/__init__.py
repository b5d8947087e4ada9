"""Benchmarks: what speed costs and brings; `make bench`, see :mod:`reports.bench.__main__`."""

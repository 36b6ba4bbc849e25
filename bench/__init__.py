"""Benchmarks of the service: `make bench`. Nothing of the product imports this package."""

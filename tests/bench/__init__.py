"""Benchmarks: paired, interleaved, in one run (`make bench`; how to measure: docs/performance.md)."""

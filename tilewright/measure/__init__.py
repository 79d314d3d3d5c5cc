"""Measuring candidates in child processes: (program, inputs, reference) -> result."""

"""Tilewright: a tensor compiler for CPUs with template-based auto-tuning."""

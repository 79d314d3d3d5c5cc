"""Storing and finding records, and applying the best."""

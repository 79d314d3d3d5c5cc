"""Loop nests and index arithmetic."""

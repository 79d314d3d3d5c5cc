"""Searches of other systems as tuners of ours, to be compared on recorded spaces."""

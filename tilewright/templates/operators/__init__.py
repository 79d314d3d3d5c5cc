"""The operators that come with Tilewright, one file each: what is computed, and how."""

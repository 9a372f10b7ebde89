"""Building blocks that no method owns."""

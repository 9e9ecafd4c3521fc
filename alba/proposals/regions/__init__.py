"""The embedded proposal backend: regions that move on their own, found without weights."""

"""The embedded proposal backend: regions that move on their own, found by motion and colour."""

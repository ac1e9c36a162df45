"""The catch-up log: where a reader is in it, what he may see of it, and how he waits for more."""

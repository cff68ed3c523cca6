"""The GPU machine. Never sees Django."""

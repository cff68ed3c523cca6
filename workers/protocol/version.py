"""Version of the worker API."""

PROTOCOL = 2
OLDEST_PROTOCOL = 1
"""The site serves this one and the one before, so that site and workers need not change at the same moment."""

ARRIVED_DAMAGED = "report.damaged"
"""Error code of a file that did not arrive as announced: worth sending again."""

"""Puts walls around a process from inside it, just before it becomes the training: files, limits, user, loopback.

Runs as `python -m workers.walls STAGE PLAN COMMAND…`, standard library only. What to put up is decided in
`workers.isolation`; a wall that was planned and does not stand ends the process, so nothing runs half protected.
"""

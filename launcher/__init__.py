"""The two commands: makes the environment, starts and watches every process, runs the tests.

Standard library only, since it runs before anything is installed; what the processes do is the other rooms' business.
"""

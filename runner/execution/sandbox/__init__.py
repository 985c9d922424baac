"""Execution in warm, confined processes, each for one task.

The child's side of it imports the standard library and each other, nothing else of the runner.
"""

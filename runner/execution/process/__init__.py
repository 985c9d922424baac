"""Execution, first form: a fresh process for each task.

Our side is `executor`. `worker`, `user_code` and `results` run in the child, and `wire` is what both sides speak;
these four import the standard library and each other, nothing else.
"""

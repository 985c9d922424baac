"""Execution, first form: a fresh process for each task.

Our side is `executor`, and `child` for one process. `worker` runs in the child, with `lifeline`, `printing`,
`user_code`, `results` and `failures`. `wire` is what both sides speak, and `session` how what was started is ended.
What runs in the child imports the standard library and each other, nothing else.
"""

"""Execution, first form: a fresh process for each task.

Our side is `executor`, and `child` for one process. `worker` runs in the child, with `lifeline`, `printing`,
`user_code`, `failures` and `results`; `conversion` makes JSON of what results hold, by the rows of `conversion_table`
and with the functions in `converters`. `wire` is what both sides speak, and `session` how what was started is ended.
What runs in the child imports the standard library and each other, nothing else.
"""

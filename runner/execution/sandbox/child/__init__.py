"""What runs in a task's process: the standard library and each other, nothing else of the runner.

`worker` takes one task and answers, with `user_code` for the code, `results` for what it returns, `printing` and
`failures`. `conversion` makes JSON of what results hold, by the rows of `conversion_table` and with the functions in
`converters`.
"""

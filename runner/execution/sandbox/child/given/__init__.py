"""What code is given beside its items: n8n's own names, as in JavaScript but with `_` for `$`. Runs in the child.

`table` lists them; `needs` finds those that a code names; `provider` makes them. Code that names none of them costs
nothing, and nothing is asked for before it is known to be needed.
"""

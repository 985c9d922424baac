"""What `n8n-runner doctor` looks at: the machine, the configuration and the broker, with what to do about each.

`checks` has the table. Each check is imported when its turn comes, so that one that cannot even be imported, since a
dependency is missing, is one finding among others.
"""

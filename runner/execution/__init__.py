"""How tasks are run: the executor protocol, and its implementations."""

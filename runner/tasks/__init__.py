"""Offers, and the tasks in flight."""

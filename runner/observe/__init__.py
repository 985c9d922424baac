"""What people see of a runner: counters and logs."""

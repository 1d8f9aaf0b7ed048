"""The worker: a process that builds, verifies and times cases; torch and the standard library."""

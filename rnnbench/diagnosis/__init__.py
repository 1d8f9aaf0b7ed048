"""The command `profile`: says why a case takes its time, from processes that only profile."""

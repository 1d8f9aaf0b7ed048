"""Many small streams at once, one to a core, as a service runs them: what a machine answers."""

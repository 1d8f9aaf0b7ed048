"""One grid over many machines: dealing its cases, running the shards, bringing results together."""

"""What asv's side and ours call the same; it needs no asv."""

ENVIRONMENT = "present"
SHARE_FILE = "share.txt"

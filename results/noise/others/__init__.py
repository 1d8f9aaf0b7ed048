"""What `others.py` is made of: the same cases, timed and judged by four tools."""

"""The command `classifier`: trains in processes of its own, and says what usual advice is worth."""

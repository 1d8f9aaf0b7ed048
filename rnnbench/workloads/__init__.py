"""What is done with a layer: one file each (worker side)."""

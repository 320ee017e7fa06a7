"""What a training survives: faults that are really made, and memory over many steps."""

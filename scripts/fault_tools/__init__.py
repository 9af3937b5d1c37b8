"""The parts of `scripts/faults` and `scripts/soak`: each campaign in a module of its own."""

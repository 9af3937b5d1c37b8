"""What scripts/bench measures with: the C limit, the peer's server and the load generator."""

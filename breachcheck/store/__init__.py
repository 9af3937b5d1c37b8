"""What is on disk: the release that is served, and the ledger that the steward keeps."""

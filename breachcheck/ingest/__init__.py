"""The steward's offline way in: source → mapping → reduce → ledger → publish. The service never imports it."""

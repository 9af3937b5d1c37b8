"""The protocol, pure: bytes in, bytes out. `PROTOCOL.md` beside this file is the specification."""

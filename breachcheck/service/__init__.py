"""The service over HTTP: `create_app` assembles it, `serve` runs it."""

from breachcheck.service.app import create_app
from breachcheck.service.server import serve

__all__ = ["create_app", "serve"]

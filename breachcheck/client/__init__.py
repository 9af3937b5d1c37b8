"""The use case of asking: a `Client` over the `Transport` port, and HTTP behind that port."""

from breachcheck.client.client import Client
from breachcheck.client.http import HttpTransport
from breachcheck.client.memory import ReleaseMemory
from breachcheck.client.transport import Deadline, Transport

__all__ = ["Client", "Deadline", "HttpTransport", "ReleaseMemory", "Transport"]

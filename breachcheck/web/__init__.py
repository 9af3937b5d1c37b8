"""The web pages: a form that checks in the browser, and all that can be read without one."""

from breachcheck.web.pages import Pages

__all__ = ["Pages"]

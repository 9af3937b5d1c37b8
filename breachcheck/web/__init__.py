"""The web pages: a form that checks in the browser, and all that can be read without one."""

from breachcheck.web.pages import router

__all__ = ["router"]

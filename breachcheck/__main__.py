"""The door of the command line: whatever goes wrong behind it, exit code 1 goes on to say "exposed" and nothing else.

Python ends with 1 by any exception that nobody foresaw, also by one while modules are imported. So this module imports
little, and begins by saying how such an exception ends.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from types import TracebackType
from typing import Final

COULD_NOT: Final = 3
STOPPED: Final = 130


def main() -> None:
    """Run the command line."""
    sys.excepthook = _last_resort
    threading.excepthook = _of_thread
    # What is opened next would take the number of a stream that is closed, and be written to in its place.
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(handle)
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8")
    if sys.stdout is None:
        sys.stderr.write("breachcheck: output: standard output is closed: nobody would read the answer\n")
        sys.exit(COULD_NOT)

    from breachcheck.cli import main as run

    run()


def _last_resort(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:  # noqa: ARG001
    # Its words and its traceback may hold what was worked on: only its name and place are told.
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = f" in {os.path.basename(at.tb_frame.f_code.co_filename)}, line {at.tb_lineno}" if at else ""  # noqa: PTH119
    stopped = issubclass(kind, KeyboardInterrupt)
    line = "stopped" if stopped else f"{kind.__name__}{place}: a fault of this program, or of the machine"
    with contextlib.suppress(OSError, ValueError):  # it may be what went wrong
        os.write(2, f"breachcheck: {line}\n".encode())
    os._exit(STOPPED if stopped else COULD_NOT)


def _of_thread(fault: threading.ExceptHookArgs) -> None:
    _last_resort(fault.exc_type, fault.exc_value or fault.exc_type(), fault.exc_traceback)


if __name__ == "__main__":
    main()

"""The steward's key folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from breachcheck import keys as key_room

SPEND = (
    "import sys\nfrom pathlib import Path\nfrom breachcheck.keys import read_steward\n"
    "steward = read_steward(Path(sys.argv[1]))\nprint('ready', flush=True)\nsys.stdin.readline()\n"
    "for _ in range(40):\n    print(steward.spend_release_number(0))\n"
)


def test_no_release_number_is_spent_twice_by_processes_that_run_together(tmp_path: Path) -> None:
    key_room.init(tmp_path / "keys")
    command = [sys.executable, "-c", SPEND, str(tmp_path / "keys")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    numbers = [int(line) for process in processes for line in process.communicate()[0].split()]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(numbers) == list(range(1, 81))
    assert (tmp_path / "keys" / key_room.RELEASE_NUMBER).read_text() == "80\n"

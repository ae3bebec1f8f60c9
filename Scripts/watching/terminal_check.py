"""status --watch in a terminal of a given size, and what it leaves of it; and where there is no terminal."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

from processes import PROGRAM, eventually, free_port

ENTER, GIVE_BACK = b"\x1b[?1049h", b"\x1b[?1049l"
MOVE = re.compile(rb"\x1b\[(\d+);1H")
SEQUENCE = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A pseudoterminal with a program in it, and the lines that it shows."""

    def __init__(self, command, columns, rows):
        self.main, side = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(side)
        self.side = side
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen(
            command, stdin=side, stdout=side, stderr=side, env=environment, start_new_session=True)
        self.said, self.lines, self.frames = b"", {}, 0

    def resize(self, columns, rows):
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.columns = columns

    def read(self):
        """Takes what came; a line that is longer than the terminal is wide is an error."""
        while select.select([self.main], [], [], 0.05)[0]:
            part = os.read(self.main, 1 << 16)
            self.said += part
            pieces = MOVE.split(part)
            for row, text in zip(pieces[1::2], pieces[2::2]):
                shown = SEQUENCE.sub(b"", text).decode()
                assert len(shown) <= self.columns, f"{len(shown)} characters in {self.columns} columns: {shown}"
                self.lines[int(row)] = shown
                self.frames += 1
        return self.lines

    def has(self, text):
        return any(text in line for line in self.read().values())

    def leave(self, key):
        os.write(self.main, key)
        assert self.process.wait(timeout=60) == 0, f"exit code {self.process.returncode} after {key}"
        self.read()
        assert self.said.endswith(GIVE_BACK), "the terminal was not given back"
        assert termios.tcgetattr(self.side) == self.before, "the terminal's settings are others than before"


def check(check):
    with check.train("terminal", free_port()) as train:
        status = [PROGRAM, "status", "--run", check.path("terminal"), "--watch"]
        eventually("a run", lambda: os.path.exists(check.path("terminal/metrics.jsonl")))

        terminal = Terminal(status, 100, 30)
        eventually("the screen", lambda: terminal.has("q leaves") and terminal.has("images/s") and terminal.has("threads"))
        assert ENTER in terminal.said
        step = lambda: next((line for line in terminal.read().values() if line.split()[1:2] == ["Step"]), "")
        first = step()
        eventually("a later step", lambda: step() != first)
        # The terminal's size is heeded at once, without a key.
        terminal.read()
        terminal.lines.clear()
        terminal.resize(50, 12)
        os.kill(terminal.process.pid, signal.SIGWINCH)
        eventually("the lines of the new size", lambda: terminal.has("q leaves"))
        assert max(terminal.lines) == 12, f"{max(terminal.lines)} lines in 12 rows"
        os.kill(train.children("worker")[0], signal.SIGSTOP)
        terminal.resize(100, 30)
        eventually("a silent worker", lambda: terminal.has("silent for"))
        os.kill(train.children("worker")[0], signal.SIGCONT)
        terminal.leave(b"q")
        other = Terminal(status, 80, 24)
        eventually("the screen", lambda: other.has("q leaves"))
        other.leave(b"\x03")
        check.say(f"a terminal shows the run, {terminal.frames} lines were written, and it was given back")

        # Killed from outside it gives the terminal back, too.
        terminal = Terminal(status, 80, 24)
        eventually("the screen", lambda: terminal.has("q leaves"))
        terminal.process.send_signal(signal.SIGTERM)
        terminal.process.wait(timeout=60)
        terminal.read()
        assert terminal.said.endswith(GIVE_BACK)

        # Plain lines elsewhere.
        plain = subprocess.Popen([*status, "--json"], stdout=subprocess.PIPE, text=True)
        steps = [json.loads(plain.stdout.readline())["step"] for _ in range(2)]
        plain.kill()
        plain.wait()
        assert steps[0] <= steps[1]
        text = subprocess.Popen(status, stdout=subprocess.PIPE, text=True, env={**os.environ, "TERM": "dumb"})
        assert text.stdout.readline().startswith("run ")
        text.kill()
        text.wait()
        check.say("and where there is no terminal, plain lines or objects")

"""A program on a terminal of the test's own."""
import fcntl
import os
import select
import struct
import subprocess
import termios
import time

TIMEOUT = 60


class OnTerminal:
    """Mixed into a test case: its standard streams are the terminal, which is its controlling one."""

    def start(self, command, rows=31, cols=97, env=None, **identity):
        outer, inner = os.openpty()
        self.addCleanup(os.close, outer)
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        self.before = termios.tcgetattr(inner)
        process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
                                   preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), env={**(env or os.environ), "TERM": "vt220"}, **identity)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.inner, self.outer, self.seen = inner, outer, b""
        self.addCleanup(os.close, inner)
        return process

    def resize(self, rows, cols):
        fcntl.ioctl(self.inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        os.write(self.outer, text)

    def until(self, text):
        """What was shown up to and with the text; the rest is for the next call."""
        end = time.monotonic() + TIMEOUT
        while text not in self.seen:
            self.assertTrue(select.select([self.outer], [], [], max(0, end - time.monotonic()))[0], self.seen)
            self.seen += os.read(self.outer, 65536)
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def is_as_it_was(self):
        """Whether the terminal has the modes it was given."""
        return termios.tcgetattr(self.inner) == self.before


class CommandOnTerminal(OnTerminal):
    """What every verb that gives its command a terminal does; IN_TERMINAL are the words before the command."""

    def test_the_command_has_a_terminal_of_our_size(self):
        process = self.start(*self.IN_TERMINAL, "--", "sh", "-c", "tty; stty size; echo $TERM; read x; exit 7")
        shown = self.until(b"vt220\r\n")
        self.assertIn(b"/dev/pts/", shown)
        self.assertIn(b"31 97\r\n", shown)
        self.type(b"\r")
        self.assertEqual(process.wait(TIMEOUT), 7)
        self.assertTrue(self.is_as_it_was())

    def test_it_follows_ours(self):
        process = self.start(*self.IN_TERMINAL, "--", "sh", "-c", "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done")
        self.until(b"ready\r\n")
        self.resize(20, 50)
        self.until(b"20 50\r\n")
        self.assertEqual(process.wait(TIMEOUT), 0)

    def test_what_is_typed_reaches_the_command(self):
        process = self.start(*self.IN_TERMINAL, "--", "sh", "-c", "trap 'echo interrupted' INT; sh -c 'echo ready; exec cat'; echo after; cat")
        self.until(b"ready\r\n")
        self.type(b"\x03")
        self.until(b"after\r\n")
        self.type(b"typed\r")
        self.until(b"typed\r\ntyped\r\n")
        self.type(b"\x04")
        self.assertEqual(process.wait(TIMEOUT), 0)

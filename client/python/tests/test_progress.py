"""Progress in a terminal, and silence in a pipe."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

PROGRAM = """
import sextant, sys
with sextant.connect(sys.argv[1]) as sx:
    sx.profile("sleep 0.3", passes="run*3", fresh=True).result()
    print("ended")
"""


def test_a_terminal_shows_a_bar(service):
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, service.address], stdout=inner, stderr=inner, stdin=inner)
    os.close(inner)
    said = b""
    while True:
        try:
            piece = os.read(outer, 4096)
        except OSError:  # the terminal's other side is closed
            break
        if not piece:
            break
        said += piece
    os.close(outer)
    assert program.wait() == 0
    text = said.decode()
    assert " sleep: " in text and "/3 passes" in text and "\r" in text
    assert text.rstrip().endswith("ended")


def test_a_pipe_stays_silent_but_for_why_something_waits(service):
    done = subprocess.run([sys.executable, "-c", PROGRAM, service.address], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ended\n", "")
    waits = PROGRAM.replace('passes="run*3"', 'passes="exec:nothing"').replace(".result()", ".result(timeout=5)")
    done = subprocess.run([sys.executable, "-c", waits, service.address], capture_output=True, text=True)
    assert "sleep waits: " in done.stderr and "exec:nothing" in done.stderr and "TookTooLong" in done.stderr

"""examples/ci/gate.sh: a program that became slower fails the build, the same program does not."""

import os
import subprocess
import unittest

from harness import ROOT, SEXTANT, ServiceTest

GATE = ROOT / "examples/ci/gate.sh"


class Gate(ServiceTest):
    def gate(self, before, after, *extra):
        for name, seconds in (("before", before), ("after", after)):
            folder = self.service.dir / name
            folder.mkdir(exist_ok=True)
            program = folder / "program"
            program.write_text(f"#!/bin/sh\nsleep {seconds}\n")
            program.chmod(0o755)
        env = dict(os.environ, SEXTANT=str(SEXTANT), SEXTANT_SERVER=self.service.address, SEXTANT_PASSES="run*5",
                   SEXTANT_HOME=str(self.service.dir / "home"), NO_COLOR="1")
        return subprocess.run([GATE, "50%", self.service.dir / "before", self.service.dir / "after", "--", "./program", *extra],
                              env=env, capture_output=True, text=True, timeout=300)

    def test_three_times_as_long_is_slower_and_said_twice(self):
        done = self.gate(0.2, 0.6)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("slower: program wall"), 2, done.stdout)

    def test_shorter_passes_at_once(self):
        done = self.gate(0.6, 0.2)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("faster: program wall"), 1, done.stdout)

    def test_what_cannot_be_measured_is_no_verdict(self):
        done = self.gate(0.1, "a lot of time")
        self.assertNotIn(done.returncode, (0, 1), done.stdout + done.stderr)
        self.assertEqual(subprocess.run([GATE], capture_output=True).returncode, 2)


if __name__ == "__main__":
    unittest.main()

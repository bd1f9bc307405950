"""docs/team.md as it stands: its blocks marked `sh` are run in their order, on one machine that plays all hosts.

Paths below /etc, /var, /run and /opt go into a directory of the test, names and ports to this machine, and `sudo`, `systemctl`
to what they would do there. The commands themselves are the page's."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import unittest

import harness
from harness import PATIENCE_S, ROOT, wait_until

PAGE = ROOT / "docs/team.md"

# What a host has and this one may not: users, services, another machine's name.
HOST = r"""
set -euo pipefail
sudo() {
  if [ "$1" = -u ]; then shift 2; "$PLAY" user "$@"; return; fi
  "$@"
}
install() {
  local words=()
  while (($#)); do
    case "$1" in -o|-g) shift 2 ;; *) words+=("$1"); shift ;; esac
  done
  command install "${words[@]}"
}
systemctl() { "$PLAY" systemctl "$@"; }
"""


def blocks():
    """The page's commands, one text a block, with the line each begins at."""
    text = PAGE.read_text()
    for match in re.finditer(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text[:match.start()].count("\n") + 2, match[1]


def below(directory, text):
    """Absolute paths of the page, in the test's directory."""
    return re.sub(r"(?<![\w.])/(etc|var|run|opt)/", rf"{directory}/\1/", text)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class TeamTest(unittest.TestCase):
    def setUp(self):
        self.site = harness.Service()
        self.addCleanup(self.site.close)
        self.dir = self.site.dir
        for name in ("opt/sextant/bin", "etc/systemd/system", "var/lib", "var/backups", "run/sextant", "work"):
            (self.dir / name).mkdir(parents=True)
        (self.dir / "var/backups").chmod(0o777)
        for program in (harness.SEXTANT, harness.SEXTANTD, harness.WORKER):
            (self.dir / "opt/sextant/bin" / program.name).symlink_to(program)
        self.postgres = max(pathlib.Path("/usr/lib/postgresql").iterdir(), key=lambda p: float(p.name))
        (self.dir / "opt/sextant/lib").mkdir()
        (self.dir / "opt/sextant/lib/postgresql").symlink_to("/usr/lib/postgresql")
        (self.dir / "work/deploy").symlink_to(ROOT / "deploy")
        shutil.copy(harness.PIPELINE, self.dir / "work/program")
        self.ports = {"7370": free_port(), "7371": free_port()}
        self.play = self.dir / "play"
        self.play.write_text(f"#!/bin/sh\nexec python3 {__file__} play {self.dir} \"$@\"\n")
        self.play.chmod(0o755)
        self.addCleanup(lambda: subprocess.run([self.play, "systemctl", "stop", "sextant-worker", "sextantd"], check=False,
                                               env=self.environment()))

    def environment(self):
        path = f"{self.dir}/opt/sextant/bin:{self.postgres}/bin:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.dir / "work"), "PLAY": str(self.play), "NO_COLOR": "1",
                "SEXTANT_BUILD": str(harness.BUILD)}

    def here(self, text):
        text = below(self.dir, text)
        text = text.replace("gpu.example.org", "localhost")
        for port, ours in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(ours), text)
        return text

    def test_the_page_does_what_it_says(self):
        script, lines = HOST + f"cd {self.dir}/work\n", []
        for line, block in blocks():
            lines.append(line)
            script += f"echo '== team.md:{line}'\n{self.here(block)}\n"
            # The page's reader waits until the worker is there, and so do we.
            if "sextant-worker" in block:
                script += '"$PLAY" attached\n'
        self.assertGreater(len(lines), 15)
        done = subprocess.run(["bash", "-c", script], env=self.environment(), capture_output=True, text=True, timeout=600)
        shown = done.stdout[-6000:] + "\n--- errors\n" + done.stderr[-6000:]
        for log in self.dir.glob("*.log"):
            shown += f"\n--- {log.name}\n" + log.read_text(errors="replace")[-3000:]
        self.assertEqual(done.returncode, 0, shown)
        said = dict(zip(lines, re.split(r"== team\.md:\d+\n", done.stdout)[1:]))
        every = done.stdout
        for words in ("as the user the service runs as", "tenant   attention", "5,000", "50.0 GiB", "sextant_", "CreateToken",
                      "certificate of the service", '"jobs"', "alice, administrator", "is revoked"):
            self.assertIn(words, every, shown)
        # After the restore the job of before is there.
        self.assertIn("done", said[max(line for line in lines if "pg_restore" in dict(blocks())[line])], shown)


# ---- what the page's commands meet ----

def play(directory, verb, *words):
    """What sudo -u sextant, systemctl and a reader's patience do, on a machine of one user."""
    directory = pathlib.Path(directory)
    if verb == "user":
        # The private PostgreSQL of root runs as another user; its programs must, too.
        owner = directory / "var/lib/sextant/postgresql/data"
        program = pathlib.Path(words[0]).name
        if os.geteuid() == 0 and program.startswith("pg_ctl"):
            os.execvp("runuser", ["runuser", "-u", owner.owner(), "--", *words])
        os.execvp(words[0], words)
    if verb == "attached":
        env = dict(os.environ)
        argv = [str(harness.SEXTANT), "--server", f"unix://{directory}/run/sextant/sextantd.sock", "query",
                "SELECT name FROM workers WHERE live AND name = 'team-worker'"]
        wait_until(lambda: b"team-worker" in subprocess.run(argv, env=env, capture_output=True, check=False).stdout,
                   "the worker is attached")
        return 0
    assert verb == "systemctl", verb
    if words[0] == "daemon-reload":
        return 0
    verbs = {"enable": ["start"], "start": ["start"], "restart": ["stop", "start"], "stop": ["stop"]}[words[0]]
    for step in verbs:
        for unit in [w for w in words[1:] if not w.startswith("-")]:
            {"start": start, "stop": stop}[step](directory, unit)
    return 0


def environment_of(directory, name):
    path = directory / "etc/sextant" / f"{name}.env"
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def unit_argv(directory, unit, variables):
    """ExecStart of the unit, as systemd reads it."""
    text = (directory / f"etc/systemd/system/{unit}.service").read_text()
    words = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)[1].split()
    argv = []
    for word in words:
        if word.startswith("$") and not word.startswith("${"):
            argv += variables.get(word[1:], "").split()
        else:
            argv.append(re.sub(r"\$\{(\w+)\}", lambda m: variables[m[1]], word))
    return [below(directory, word) for word in argv]


def start(directory, unit):
    short = {"sextantd": "sextantd", "sextant-worker": "worker"}[unit]
    variables = environment_of(directory, short)
    argv = unit_argv(directory, unit, variables)
    if unit == "sextant-worker":
        argv += ["--name", "team-worker"]
    with open(directory / f"{unit}.log", "ab") as log:
        started = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                                   env={**os.environ, **variables})
    (directory / f"{unit}.pid").write_text(str(started.pid))
    if unit == "sextantd":
        socket_path = directory / "run/sextant/sextantd.sock"
        argv = [str(harness.SEXTANT), "--server", f"unix://{socket_path}", "jobs"]
        wait_until(lambda: started.poll() is not None or subprocess.run(argv, capture_output=True, check=False,
                                                                        env={"PATH": os.environ["PATH"]}).returncode == 0,
                   "sextantd serves")
        assert started.poll() is None, "sextantd ended"


def stop(directory, unit):
    path = directory / f"{unit}.pid"
    if not path.exists():
        return
    pid = int(path.read_text())
    path.unlink()
    os.kill(pid, 15)
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists() or
               pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z", f"{unit} ends")


if __name__ == "__main__":
    import sys
    if sys.argv[1:2] == ["play"]:
        sys.exit(play(*sys.argv[2:]))
    unittest.main()

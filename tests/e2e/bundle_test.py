"""The bundle in a root file system with nothing but a C library and a shell: everything it needs is
in it, its programs find each other, and it works as an ordinary user and as root."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from empty_root import EmptyRoot
from harness import BUILD, ROOT

LIFE = """
cd /opt/sextant-*/
bin/sextant doctor
trap 'tail -n 40 "$SEXTANT_HOME"/log/*.log' EXIT
export SEXTANT_HOME={home}
bin/sextant up
cd examples
../bin/sextant --format json run --pass 'host*5' -- ./async_pipeline >/tmp/run
echo "=== job"
../bin/sextant --format json job 1 --passes
echo "=== timeline"
../bin/sextant --format json timeline 1
echo "=== end"
trap - EXIT
../bin/sextant down
"""


def part(text, name):
    """The JSON between "=== name" and the next such line."""
    return json.loads(text.split(f"=== {name}\n", 1)[1].split("\n=== ", 1)[0])


class Bundle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="sextant-bundle-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.dir.chmod(0o755)
        cls.archive = cls.dir / "bundle.tar.gz"
        subprocess.run([ROOT / "deploy/bundle", "--no-build", "--build", BUILD, "--with-postgres",
                        "-o", cls.archive], check=True)
        cls.root = EmptyRoot(cls.dir / "root")
        shutil.copy(cls.archive, cls.root.dir / "opt/bundle.tar.gz")
        # By the tools of that system, as whoever gets the archive would.
        code, text = cls.root.run("cd /opt; tar xzf bundle.tar.gz; rm bundle.tar.gz",
                                  user=0 if os.geteuid() == 0 else EmptyRoot.USER)
        if code != 0:
            raise AssertionError(f"unpacking: exit {code}\n{text}")

    def life(self, user, home):
        code, text = self.root.run(LIFE.format(home=home), user=user)
        self.assertEqual(code, 0, text[-6000:])
        self.assertIn("The service can run here", text)
        job = part(text, "job")
        self.assertEqual(job["job"]["state"], "DONE", text[-6000:])
        self.assertEqual([p["state"] for p in job["passes"]], ["DONE"] * 5)
        regions = {r["region"]: int(r["count"]) for r in part(text, "timeline")["regions"]}
        # 96 blocks a pass, whoever of the threads takes them.
        self.assertEqual(regions["compute"], 5 * 96, regions)

    def test_it_is_small_enough_to_be_carried_anywhere(self):
        self.assertLess(self.archive.stat().st_size, 45 << 20)

    def test_an_ordinary_user_profiles_a_program_with_it(self):
        self.life(EmptyRoot.USER, "/home/somebody/sextant")

    @unittest.skipUnless(os.geteuid() == 0, "only root can be root in there")
    def test_root_profiles_a_program_with_it(self):
        self.life(0, "/var/lib/sextant")

    @unittest.skipUnless(os.geteuid() == 0, "only root can be root in there")
    def test_root_is_told_when_the_bundle_lies_where_other_users_may_not_go(self):
        code, text = self.root.run("""
            mkdir -m 700 /root/closed; cp -r /opt/sextant-*/ /root/closed/sextant
            cd /root/closed/sextant
            bin/sextant-worker --probe
            if bin/sextantd --state /var/lib/closed; then exit 1; fi
            rm -r /root/closed""", user=0)
        self.assertEqual(code, 0, text[-6000:])
        self.assertIn("a directory above /root/closed/sextant/bin/bwrap is closed", text)
        self.assertIn("who cannot run the programs in /root/closed/sextant/lib/postgresql", text)

    def test_its_libraries_come_before_those_of_the_callers_environment(self):
        code, text = self.root.run("""
            mkdir /tmp/bad; for l in /opt/sextant-*/lib/lib*.so*; do : >/tmp/bad/$(basename $l); done
            export LD_LIBRARY_PATH=/tmp/bad
            for program in sextant sextantd sextant-worker; do /opt/sextant-*/bin/$program --help >/dev/null; done
            /opt/sextant-*/bin/bwrap --version
            /opt/sextant-*/lib/postgresql/*/bin/postgres --version""")
        self.assertEqual(code, 0, text)


if __name__ == "__main__":
    unittest.main(verbosity=2)

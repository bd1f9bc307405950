"""Two jobs set against each other through the whole service: recordings of an H200, and host passes."""

import hashlib
import pathlib
import tempfile
import unittest

from harness import PROGRAMS, ROOT, ServiceTest
from recordings import Recording, replace_in_frames, section, slow_down_proton

RECORDINGS = ROOT / "tests/recordings/h200"
CALIBRATED = PROGRAMS / "calibrated/calibrated"


class Compare(ServiceTest):
    def replay(self, name, *flags):
        return self.replay_files(sorted((RECORDINGS / name).glob("*.rec")), *flags)

    def replay_files(self, recordings, *flags):
        arguments = list(flags)
        for recording in recordings:
            arguments += ["--pass", f"replay:{recording}"]
        return self.run_job(*arguments)

    def host(self, instances):
        return self.run_job("--pass", "host*5", "--", CALIBRATED, "--instances", instances)

    def run_job(self, *arguments):
        job = int(self.service.ok("--format", "json", "run", "--no-timeline", *arguments).lines()[0]["job_id"])
        self.assertEqual(self.service.wait_job(job)["job"]["state"], "DONE")
        return job

    def compare(self, *arguments):
        result = self.service.cli("--format", "json", "compare", *arguments)
        self.assertIn(result.code, (0, 1), result.err)
        return result.code, result.json()

    def test_recordings_of_the_same_passes_do_not_differ(self):
        one, other = self.replay("truth_spins", "--fresh"), self.replay("truth_spins", "--fresh")
        code, answer = self.compare(one, other)
        self.assertEqual(code, 0, answer)
        self.assertFalse(answer.get("environment"))
        rows = {(row["kind"], row.get("role", ""), row["name"]): row for row in answer["deltas"]}
        self.assertIn(("program", "", "kernel time"), rows)
        self.assertTrue([key for key in rows if key[0] == "kernel"])
        self.assertNotIn(("program", "", "wall"), rows)  # of a replay it says nothing
        fixed = rows["region", "first", "fixed"]
        self.assertEqual(fixed["passes_a"], 6)
        self.assertEqual(fixed.get("relative", 0), 0)
        self.assertEqual(fixed["verdict"], "no difference", fixed)
        self.assertEqual(fixed["unit"], "ns")
        self.assertTrue(all(row["verdict"] in ("no difference", "inconclusive") for row in rows.values()), rows)

    def other_code(self, recordings, directory):
        """The recordings as if the kernel had been another: its matrix products are half precision throughout, and every
        region takes three times as long."""
        changed, digests = [], None
        for path in sorted(recordings, key=lambda path: "-ir" not in path.name):
            recording = Recording(path)
            for name, content in recording.files.items():
                if name.endswith("matmul_kernel.cubin") or (digests is None and name.endswith(".cubin")):
                    try:
                        offset, size = section(content, ".text.matmul_kernel")
                    except KeyError:
                        continue
                    was = hashlib.sha256(content[offset:offset + size]).digest()
                    content[offset] ^= 1
                    digests = was, hashlib.sha256(content[offset:offset + size]).digest()
                elif name.endswith(".sass"):
                    content[:] = content.replace(b"HGMMA.64x128x16.F32", b"HMMA.16816.F32.F32 ")
                elif name.endswith(".ttgir"):
                    content[:] = content.replace(b"{pendings = 1 : i32}", b"{pendings = 0 : i32}")
                elif name.endswith(".raw"):
                    slow_down_proton(content, 3)
            for name, content in recording.files.items():
                if name.endswith("activity.bin"):
                    replace_in_frames(content, *digests)
            changed.append(directory / path.name)
            recording.save(changed[-1])
        return sorted(changed)

    def test_what_changed_in_the_code_is_shown_at_every_level_that_both_kept(self):
        recordings = [path for path in sorted((RECORDINGS / "triton_matmul").glob("*.rec"))
                      if path.stem.split("-")[1] in ("activity", "proton", "ir")]
        with tempfile.TemporaryDirectory() as directory:
            other = self.replay_files(self.other_code(recordings, pathlib.Path(directory)), "--fresh")
        one = self.replay_files(recordings, "--fresh")
        code, answer = self.compare(one, other, "--code")
        rows = {(row["kind"], row["name"]): row for row in answer["deltas"]}
        dot = rows["region", "dot"]
        self.assertEqual(dot["verdict"], "slower", dot)
        self.assertAlmostEqual(dot["relative"], 2, delta=0.01)
        environment = [row["what"] for row in answer["environment"]]
        self.assertIn("code of matmul_kernel", environment)
        self.assertEqual({one["kernel"] for one in answer["code"]}, {"matmul_kernel"})
        levels = {one["level"]: one for one in answer["code"]}
        self.assertEqual(list(levels), ["ttir", "ttgir", "llir", "ptx", "sass"])
        for level in ("ttir", "llir", "ptx"):
            self.assertTrue(levels[level]["same"], levels[level])
        self.assertEqual((levels["ttgir"]["removed"], levels["ttgir"]["added"]), (1, 1))
        self.assertIn("-%total_73:3 = ttng.warp_group_dot_wait", levels["ttgir"]["diff"])
        self.assertIn("@@ kernel.py:30", levels["ttgir"]["diff"])
        self.assertFalse(levels["sass"].get("same", False))
        mix = {one["name"]: one["value"] for one in levels["sass"]["mixChange" if "mixChange" in levels["sass"] else "mix_change"]}
        self.assertEqual(mix["HGMMA"], -mix["HMMA"])
        self.assertNotIn("tensor", mix)   # one class as the other
        text = self.service.cli("compare", one, other, "--code").out
        self.assertIn("code of matmul_kernel, ttgir: -1 +1 lines", text)
        self.assertIn("code of matmul_kernel, ptx: the same but for names", text)
        self.assertIn("+HMMA.16816.F32.F32", text)
        self.assertEqual(code, 1)
        # The other way round the same lines come and go.
        _, back = self.compare(other, one)
        self.assertEqual({one["level"]: one.get("added", 0) for one in back["code"]},
                         {one["level"]: one.get("removed", 0) for one in answer["code"]})

    def test_what_the_cache_answered_is_not_a_comparison(self):
        one, other = self.replay("truth_spins"), self.replay("truth_spins")
        code, answer = self.compare(one, other)
        self.assertEqual(code, 0)
        self.assertEqual(answer["verdict"], "inconclusive")
        self.assertIn("--fresh", answer["why"])
        self.assertEqual(self.service.cli("compare", one, other, "--strict").code, 1)

    def test_thirty_times_the_work_is_a_regression_and_fails_the_gate(self):
        small, large = self.host(10), self.host(300)
        code, answer = self.compare(small, large, "--gate", "10%")
        rows = {row["name"]: row for row in answer["deltas"]}
        self.assertEqual(rows["fixed"]["verdict"], "slower", rows["fixed"])
        self.assertIn("10 → 300 instances", rows["fixed"]["why"])
        self.assertEqual((code, answer["verdict"]), (1, "slower"), answer)
        code, back = self.compare(large, small, "--gate", "10%")
        self.assertEqual((code, back["verdict"]), (0, "faster"), back)
        text = self.service.cli("compare", small, large)
        self.assertEqual(text.code, 1)
        self.assertIn("calibrated/fixed", text.out)
        self.assertIn("slower:", text.out)

    def test_different_kinds_of_pass_are_refused(self):
        result = self.service.cli("compare", self.host(10), self.replay("truth_spins"))
        self.assertEqual(result.code, 5)
        self.assertIn("no kind of pass in common", result.err)
        self.assertEqual(self.service.cli("compare", 1, 999999).code, 4)


if __name__ == "__main__":
    unittest.main()

"""Two jobs set against each other through the whole service: recordings of an H200, and host passes."""

import unittest

from harness import PROGRAMS, ROOT, ServiceTest

RECORDINGS = ROOT / "tests/recordings/h200"
CALIBRATED = PROGRAMS / "calibrated/calibrated"


class Compare(ServiceTest):
    def replay(self, name, *flags):
        arguments = list(flags)
        for recording in sorted((RECORDINGS / name).glob("*.rec")):
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

"""A coordinator that fails once at each commit: before it, after it, in doubt. Takes minutes:
    SEXTANT_BUILD=build python3 tests/e2e/faults_test.py"""

import unittest

from harness import PIPELINE, Service, wait_until


class Faults(unittest.TestCase):
    def setUp(self):
        self.service = Service()
        self.addCleanup(self.service.close)

    def check_done(self, job, passes):
        """The job is done, each pass once, each with its whole trace."""
        answer = self.service.wait_job(job)
        self.assertEqual(answer["job"]["state"], "DONE", answer["job"])
        self.assertEqual(answer["job"]["passes_done"], passes)
        ordinals = [p.get("ordinal", 0) for p in answer["passes"]]
        self.assertEqual(sorted(ordinals), list(range(passes)))
        timeline = self.service.ok("--format", "json", "timeline", job).json()
        self.assertEqual(timeline["passes"], passes)
        recorded = sum(int(p["result"]["events"]) for p in answer["passes"])
        self.assertEqual(int(timeline["events"]), recorded)
        return answer

    def test_faults_around_every_commit_lose_nothing_and_double_nothing(self):
        s = self.service
        for point in ("submit", "plan", "claim", "started", "commit"):
            for action in ("crash", "error", "drop", "drop-after"):
                side = "after_commit" if action == "drop-after" else "before_commit"
                with self.subTest(point=point, action=action):
                    self.one_fault(s, f"{point}.{side}={action}@1", f"{point}-{action}")
            with self.subTest(point=point, action="crash after"):
                self.one_fault(s, f"{point}.after_commit=crash@1", f"{point}-crash-after")

    def one_fault(self, s, fault, salt):
        """A job is submitted, with one request id, until it is accepted, to a coordinator that
        fails once at `fault`; it is run once and done."""
        s.start_coordinator("--fault", fault)
        if "w1" not in s.workers:
            s.start_worker()
        s.wait_worker()
        accepted = None
        for _ in range(20):
            result = s.cli("--format", "json", "run", "--detach", "--pass", "host*2", "--salt", salt,
                           "--name", salt, "--request-id", salt, "--", PIPELINE, "--items", "8")
            if result.code == 0:
                accepted = int(result.lines()[0]["job_id"])
                break
            if not s.coordinator.alive:
                s.start_coordinator()
        self.assertIsNotNone(accepted, f"never accepted under {fault}")

        def settled():
            if not s.coordinator.alive:
                s.start_coordinator()
            result = s.cli("--format", "json", "job", accepted)
            return result.code == 0 and result.json()["job"]["state"] in ("DONE", "FAILED")
        wait_until(settled, f"job ends under {fault}")
        self.check_done(accepted, 2)
        jobs = s.query(f"SELECT count(*) FROM jobs WHERE name = '{salt}'")
        self.assertEqual(jobs, [["1"]])
        s.coordinator.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Nothing acknowledged is lost and nothing counts twice, whatever is killed and whenever."""

import os
import signal
import unittest

from harness import PIPELINE, Service, in_threads, wait_until


class Restart(unittest.TestCase):
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

    def some_done(self, job, n=1):
        wait_until(lambda: (self.service.query(
            f"SELECT count(*) FROM passes WHERE job_id = {job} AND state = 'done'")
            or [["0"]])[0][0] >= str(n), f"{n} passes are done")

    def test_a_killed_coordinator_loses_nothing_and_the_running_pass_goes_on(self):
        s = self.service
        s.start_coordinator()
        s.start_worker()
        s.wait_worker()
        job = s.run_detached("--pass", "host*6", "--", PIPELINE, "--items", "100")
        self.some_done(job)
        for _ in range(3):
            s.coordinator.kill()
            s.start_coordinator()
        answer = self.check_done(job, 6)
        self.assertEqual({p["epoch"] for p in answer["passes"]}, {"1"})  # nobody ran twice
        self.assertTrue(s.workers["w1"].alive)

    def test_a_killed_worker_gives_its_pass_to_its_successor(self):
        s = self.service
        s.start_coordinator()
        s.start_worker()
        s.wait_worker()
        job = s.run_detached("--pass", "host*4", "--", PIPELINE, "--items", "100")
        self.some_done(job)
        s.workers["w1"].kill()
        s.start_worker("w1")
        self.check_done(job, 4)

    def test_killed_postgresql_is_started_again_and_work_goes_on(self):
        s = self.service
        s.start_coordinator()
        s.start_worker()
        s.wait_worker()
        job = s.run_detached("--pass", "host*4", "--", PIPELINE, "--items", "100")
        self.some_done(job)
        os.kill(s.postmaster_pid(), signal.SIGKILL)
        self.check_done(job, 4)

    def test_everything_killed_at_once_comes_back(self):
        s = self.service
        s.start_coordinator()
        s.start_worker()
        s.wait_worker()
        job = s.run_detached("--pass", "host*4", "--", PIPELINE, "--items", "100")
        self.some_done(job)
        postmaster = s.postmaster_pid()
        s.workers["w1"].kill()
        s.coordinator.kill()
        os.kill(postmaster, signal.SIGKILL)
        s.start_coordinator()
        s.start_worker("w1")
        self.check_done(job, 4)

    def test_several_jobs_at_once_each_count_once(self):
        s = self.service
        s.start_coordinator()
        s.start_worker()
        s.wait_worker()
        jobs = [s.run_detached("--pass", "host*2", "--salt", f"t{i}", "--", PIPELINE, "--items", "8")
                for i in range(3)]
        in_threads([lambda j=j: self.check_done(j, 2) for j in jobs])


class LostLease(unittest.TestCase):
    def test_a_worker_that_cannot_renew_kills_its_pass_and_another_runs_it(self):
        s = Service()
        self.addCleanup(s.close)
        s.start_coordinator("--limit", "worker_lease_s=3")
        first = s.start_worker("w1")
        s.wait_worker("w1")
        job = s.run_detached("--pass", "run", "--", "sh", "-c", "sleep 5; echo done")
        wait_until(lambda: s.job(job)["job"].get("passes_running"), "the pass runs")
        first.popen.send_signal(signal.SIGSTOP)
        s.start_worker("w2")
        answer = s.wait_job(job)
        self.assertEqual(answer["job"]["state"], "DONE")
        self.assertEqual(answer["passes"][0]["worker"], "w2")
        first.popen.send_signal(signal.SIGCONT)
        # It attaches again, drops what it held, and is given work like any other.
        s.wait_worker("w1")
        again = s.run_detached("--fresh", "--pass", "run*4", "--", "true")
        self.assertEqual(s.wait_job(again)["job"]["state"], "DONE")
        self.assertEqual(s.wait_job(job)["passes"][0]["worker"], "w2")


if __name__ == "__main__":
    unittest.main(verbosity=2)

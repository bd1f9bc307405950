"""A third party's backend, a Python file, used through the whole service."""

import unittest

from harness import PIPELINE, ROOT, ServiceTest, wait_until


class Exec(ServiceTest):
    WORKER = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.service.start_worker("w1", "--exec-backends", ROOT / "examples/backends")
        cls.service.wait_worker()

    def test_threads_of_a_program_have_a_timeline_and_a_table(self):
        done = self.service.ok("run", "--pass", "exec:threads:interval_ms=1*2", "--", PIPELINE)
        self.assertIn("sleeping", done.out)
        job = self.service.ok("--format", "json", "jobs", "--limit", "1").lines()[0]["job_id"]
        for one in self.service.job(job)["passes"]:
            result = one["result"]
            self.assertGreater(int(result["events"]), 0)
            self.assertIn("resources.table", [a["name"] for a in result["artifacts"]])
            self.assertIn("peak_rss", [c["name"] for c in result["counters"]])

    def test_the_program_s_own_end_is_kept(self):
        result = self.service.cli("run", "--pass", "exec:threads:interval_ms=1", "--", "sh", "-c",
                                  "sleep 0.1; exit 7")
        self.assertEqual(result.code, 1)
        job = self.service.ok("--format", "json", "jobs", "--limit", "1").lines()[0]["job_id"]
        self.assertEqual(self.service.job(job)["passes"][0]["result"]["exit"]["exit_code"], 7)

    def test_a_wrong_option_is_refused_in_the_backend_s_words(self):
        result = self.service.cli("run", "--pass", "exec:threads:interval_ms=0", "--", "true")
        self.assertEqual(result.code, 1)
        self.assertIn("interval_ms", result.out + result.err)
        self.assertIn("not between 1 and 1000", result.out + result.err)

    def test_a_backend_that_cannot_work_says_why(self):
        job = self.service.run_detached("--pass", "exec:rocprof", "--", "true")
        wait_until(lambda: "rocprofv3 is not in" in self.service.cli("job", job, "--explain").out,
                   "the job says what it waits for")
        self.service.ok("cancel", job)


if __name__ == "__main__":
    unittest.main()

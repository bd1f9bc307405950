"""A pass recorded by one worker and played through the whole service again."""

import unittest

from harness import PIPELINE, ServiceTest


class Replay(ServiceTest):
    WORKER = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.recordings = cls.service.dir / "recordings"
        cls.service.start_worker("w1", "--record", cls.recordings)
        cls.service.wait_worker()
        cls.service.ok("run", "--pass", "host*3", "--pass", "run", "--no-timeline", "--", PIPELINE,
                       "--items", "8")
        job = cls.service.ok("--format", "json", "jobs", "--limit", "1").lines()[0]
        cls.recorded = int(job["job_id"])

    def timeline(self, job_id):
        timeline = self.service.ok("--format", "json", "timeline", job_id, "--exact").json()
        for changing in ("job_id", "created_unix_ns", "rollup_digest", "cached"):
            timeline.pop(changing, None)
        return timeline

    def replay(self, *passes):
        arguments = [word for p in passes for word in ("--pass", p)]
        answer = self.service.ok("--format", "json", "run", "--no-timeline", *arguments).lines()[0]
        return int(answer["job_id"])

    def test_the_replayed_timeline_is_the_recorded_one(self):
        self.assertEqual(len(list(self.recordings.glob("*.rec"))), 4)
        job = self.replay(f"replay:{self.recordings}")
        first, again = self.timeline(self.recorded), self.timeline(job)
        self.assertEqual(first["passes"], 3)
        for key in ("passes", "lanes", "regions", "program"):
            self.assertEqual(first.get(key), again.get(key), key)
        passes = self.service.job(job)["passes"]
        self.assertEqual([p["result"]["replayed"]["backend"] for p in passes],
                         ["host", "host", "host", "run"])
        recorded = self.service.job(self.recorded)["passes"]
        for old, new in zip(recorded, passes):
            self.assertEqual(old["result"].get("trace_digest"), new["result"].get("trace_digest"))
            self.assertEqual(old["result"]["exit"], new["result"]["exit"])
            self.assertEqual(new["result"]["provenance"]["extra"].pop("replayed"), "yes")
            self.assertEqual(old["result"]["provenance"], new["result"]["provenance"])

    def test_a_replay_is_answered_from_the_cache_like_any_pass(self):
        one = sorted(self.recordings.glob("*.rec"))[0]
        self.service.wait_job(self.replay(f"replay:{one}"))
        again = self.replay(f"replay:{one}")
        self.assertEqual(self.service.wait_job(again)["job"]["passes_cached"], 1)

    def test_a_damaged_recording_fails_with_a_reason(self):
        whole = sorted(self.recordings.glob("*.rec"))[0].read_bytes()
        cut = self.service.dir / "cut.rec"
        cut.write_bytes(whole[:len(whole) // 2])
        result = self.service.cli("run", "--pass", f"replay:{cut}")
        self.assertEqual(result.code, 1)
        self.assertIn("ends too early", result.out + result.err)


if __name__ == "__main__":
    unittest.main()

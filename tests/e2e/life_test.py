"""The life of jobs as a user sees them: everything through the CLI, nothing pretended."""

import hashlib
import json
import unittest

from harness import PIPELINE, ServiceTest, endless, processes, wait_until


class Life(ServiceTest):
    def test_a_program_is_profiled_and_its_timeline_shows_roles_and_regions(self):
        done = self.service.ok("run", "--name", "pipeline", "--pass", "host*5", "--", PIPELINE)
        self.assertIn("load", done.out)
        self.assertIn("compute", done.out)
        job = self.service.ok("--format", "json", "jobs", "--limit", "1").lines()[0]
        self.assertEqual(job["state"], "DONE")
        timeline = self.service.ok("--format", "json", "timeline", job["job_id"]).json()
        self.assertEqual(timeline["passes"], 5)
        roles = {lane["role"] for lane in timeline["lanes"]}
        self.assertLessEqual({"producer", "consumer"}, roles)
        for region in timeline["regions"]:
            self.assertEqual(sorted(region["duration_ns"]), region["duration_ns"])
            self.assertGreater(int(region["count"]), 0)

    def test_a_repeated_job_comes_from_the_cache_and_more_passes_top_it_up(self):
        args = ["--salt", "cache", "--", PIPELINE, "--items", "8"]
        first = self.service.run_detached("--pass", "host*2", *args)
        self.assertEqual(self.service.wait_job(first)["job"].get("passes_cached", 0), 0)
        again = self.service.run_detached("--pass", "host*2", *args)
        self.assertEqual(self.service.wait_job(again)["job"]["passes_cached"], 2)
        more = self.service.run_detached("--pass", "host*3", *args)
        self.assertEqual(self.service.wait_job(more)["job"]["passes_cached"], 2)
        fresh = self.service.run_detached("--pass", "host*2", "--fresh", *args)
        self.assertEqual(self.service.wait_job(fresh)["job"].get("passes_cached", 0), 0)
        why = self.service.ok("job", again, "--explain").out
        self.assertIn("hit", why)

    def test_what_one_task_builds_another_profiles(self):
        source = self.service.dir / "hello.sh"
        source.write_text("#!/bin/sh\necho built by $1 > made.txt\n")
        graph = {"name": "chain", "tasks": [
            {"name": "make", "outputs": [{"name": "made", "path": "made.txt"}],
             "build": {"workload": {"argv": ["sh", "hello.sh", "make"],
                                    "files": [{"path": "hello.sh"}]}}},
            {"name": "read", "inputs": [{"task": "make", "artifact": "made", "path": "in/made.txt"}],
             "verify": {"workload": {"argv": ["grep", "built by make", "in/made.txt"]}}},
        ]}
        job = self.service.submit(graph)
        answer = self.service.wait_job(job)
        self.assertEqual(answer["job"]["state"], "DONE", answer)
        self.assertIn("built by make", self.service.ok("logs", job, "--task", "read").out)

    def test_a_failing_program_is_reported_as_data(self):
        result = self.service.cli("run", "--pass", "run", "--", "sh", "-c", "echo oops >&2; exit 7")
        self.assertEqual(result.code, 1)
        self.assertIn("7", result.out + result.err)
        job = self.service.ok("--format", "json", "jobs", "--limit", "1").lines()[0]
        passes = self.service.job(job["job_id"])["passes"]
        self.assertEqual(passes[0]["result"]["exit"]["exit_code"], 7)
        self.assertIn("oops", self.service.ok("logs", job["job_id"], "--stderr").out)

    def test_a_verify_task_that_fails_says_so_and_what_waits_does_not_run(self):
        job = self.service.submit({"tasks": [
            {"name": "check", "verify": {"workload": {"argv": ["false"]}}},
            {"name": "next", "after": ["check"], "build": {"workload": {"argv": ["true"]}}}]})
        tasks = {t["path"]: t for t in self.service.wait_job(job)["tasks"]}
        self.assertEqual(tasks["check"]["failure"]["cause"], "VERIFY_FAILED")
        self.assertEqual(tasks["next"]["failure"]["cause"], "INPUT_FAILED")

    def test_a_missing_program_and_an_empty_capture_have_reasons(self):
        result = self.service.cli("run", "--pass", "run", "--", "no-such-program-anywhere")
        self.assertEqual(result.code, 2)  # seen before anything is sent
        self.assertIn("no-such-program-anywhere", result.out + result.err)
        result = self.service.cli("run", "--pass", "host", "--", "true")
        self.assertEqual(result.code, 1)
        self.assertIn("scope.h", result.out + result.err)

    def test_cancelling_kills_the_running_program(self):
        sleep = endless()
        job = self.service.run_detached("--pass", "run", "--salt", "cancel", "--", *sleep)
        wait_until(lambda: self.service.job(job)["job"].get("passes_running"), "the pass runs")
        wait_until(lambda: [e for e in self.events(job) if e["what"] == "started"], "it started")
        self.service.ok("cancel", job)
        self.assertEqual(self.service.wait_job(job)["job"]["state"], "CANCELLED")
        wait_until(lambda: not processes(sleep), "the program is gone")

    def events(self, job):
        return [json.loads(cell) if cell.startswith("{") else {"what": cell}
                for row in self.service.query(f"SELECT what FROM events WHERE job_id = {job}")
                for cell in row]

    def test_tasks_are_added_while_an_open_job_runs_and_an_external_task_waits_for_its_client(self):
        job = self.service.submit({"open": True, "tasks": [
            {"name": "ask", "external": {"instructions": "look at it"}}]})
        extra = self.service.dir / "extra.json"
        extra.write_text(json.dumps({"tasks": [
            {"name": "then", "after": ["ask"], "build": {"workload": {"argv": ["true"]}}}]}))
        self.service.ok("job", job, "add", extra)
        self.service.ok("complete-task", job, "ask", "--message", "fine")
        wait_until(lambda: {t["path"]: t["state"] for t in self.service.job(job)["tasks"]}["then"]
                   == "DONE", "the added task ran")
        self.assertEqual(self.service.job(job)["job"]["state"], "RUNNING")
        self.service.ok("job", job, "seal")
        self.assertEqual(self.service.wait_job(job)["job"]["state"], "DONE")

    def test_nested_groups_run_and_a_cycle_is_refused(self):
        job = self.service.submit({"tasks": [
            {"name": "outer", "group": {}}, {"name": "inner", "parent": "outer", "group": {}},
            {"name": "leaf", "parent": "outer/inner", "build": {"workload": {"argv": ["true"]}}},
            {"name": "last", "after": ["outer"], "build": {"workload": {"argv": ["true"]}}}]})
        self.assertEqual(self.service.wait_job(job)["job"]["state"], "DONE")
        bad = self.service.dir / "cycle.json"
        bad.write_text(json.dumps({"tasks": [
            {"name": "a", "after": ["b"], "build": {"workload": {"argv": ["true"]}}},
            {"name": "b", "after": ["a"], "build": {"workload": {"argv": ["true"]}}}]}))
        result = self.service.cli("submit", bad)
        self.assertEqual(result.code, 5)
        self.assertIn("cycle", result.err)

    def test_blobs_come_back_as_they_were_put(self):
        data = bytes(range(256)) * 9000
        path = self.service.dir / "blob.bin"
        path.write_bytes(data)
        self.service.ok("blobs", "put", path)
        digest = hashlib.sha256(data).hexdigest()
        self.assertIn(digest, self.service.ok("blobs", "list").out)
        out = self.service.dir / "back.bin"
        self.service.ok("blobs", "get", digest, "-o", out)
        self.assertEqual(out.read_bytes(), data)

    def test_a_query_reads_and_cannot_write(self):
        self.assertEqual(self.service.query("SELECT 1 + 1"), [["2"]])
        self.assertEqual(self.service.cli("query", "DELETE FROM jobs").code, 5)
        self.assertEqual(self.service.cli("query", "SELECT * FROM pg_authid").code, 5)

    def test_an_exported_trace_is_valid_json_with_as_many_events_as_recorded(self):
        job = self.service.run_detached("--pass", "host*2", "--salt", "export", "--", PIPELINE)
        answer = self.service.wait_job(job)
        out = self.service.dir / "trace.json"
        self.service.ok("export", job, "-o", out)
        events = [e for e in json.loads(out.read_text())["traceEvents"] if e["ph"] == "X"]
        recorded = sum(int(p["result"]["events"]) for p in answer["passes"])
        self.assertEqual(len(events), recorded)

    def test_a_report_names_the_regions_and_the_machine(self):
        job = self.service.run_detached("--pass", "host*2", "--salt", "report", "--", PIPELINE)
        self.service.wait_job(job)
        text = self.service.ok("report", job).out
        for word in ("load", "compute", "P50"):
            self.assertIn(word, text)

    def test_errors_have_their_exit_codes(self):
        self.assertEqual(self.service.cli("job", "999999").code, 4)
        self.assertEqual(self.service.cli("run").code, 2)
        self.assertEqual(self.service.cli("run", "--pass", "nonsense:", "--", "true").code, 2)
        self.assertEqual(self.service.cli("--server", "127.0.0.1:1", "jobs").code, 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)

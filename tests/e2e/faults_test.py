"""A coordinator that fails at its commits: before one, after it but before the reply, its connection
lost, the outcome in doubt. Clients repeat what was not answered; nothing is lost, nothing counts twice."""

import json
import unittest

from harness import PIPELINE, Service, endless, processes, wait_until

# Every commit that clients, workers and the engine depend on, about in the order of a scenario.
POINTS = ("blob_missing", "blob_chunk", "blob_finish", "submit", "claim", "started", "notify",
          "trace_put_chunks", "trace_put", "commit", "task_rollup_update", "settle", "add", "plan",
          "complete", "seal", "register", "lost", "cancel", "overdue", "renew")


class Scenario:
    """Jobs of every kind under one tag, each request repeated with one id until it is answered."""

    def __init__(self, test, service, tag):
        self.test, self.service, self.tag = test, service, tag

    def until(self, condition, what):
        """wait_until, with its patience anew for every life of the coordinator."""
        while True:
            lives = self.test.lives
            try:
                return wait_until(condition, what)
            except AssertionError:
                if self.test.lives == lives:
                    raise

    def again(self, *args):
        refusals = []

        def answered():
            self.test.revive()
            result = self.service.cli("--format", "json", *args)
            refusals.append(result.err)
            return result if result.code == 0 else None
        try:
            return self.until(answered, " ".join(map(str, args)))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{len(refusals)} tries, the last: {refusals[-1]}\n"
                                 f"{self.service.coordinator.text()[-2000:]}") from None

    def submitted(self, *args):
        return int(self.again(*args).lines()[0]["job_id"])

    def graph(self, name, graph):
        path = self.service.dir / f"{self.tag}-{name}.json"
        path.write_text(json.dumps({"name": f"{self.tag}-{name}", **graph}))
        return path

    def ended(self, job, state, passes=None):
        def final():
            answer = self.again("job", job, "--passes").json()
            return answer if answer["job"]["state"] in ("DONE", "FAILED", "CANCELLED") else None
        answer = self.until(final, f"job {job} ends")
        self.test.assertEqual(answer["job"]["state"], state, answer["job"])
        if passes is not None:
            self.test.assertEqual(answer["job"]["passes_done"], passes)
            ordinals = [p.get("ordinal", 0) for p in answer["passes"]]
            self.test.assertEqual(sorted(ordinals), list(range(passes)))
        return answer

    def running(self, argv):
        self.test.revive()
        return processes(argv)

    def run(self):
        data = self.service.dir / f"{self.tag}.data"
        data.write_text(f"{self.tag}\n" * 300_000)  # more than one row of a blob
        profile = ["run", "--detach", "--pass", "host*2", "--salt", self.tag, "--file", data]
        first, second = [
            self.submitted(*profile, "--name", f"{self.tag}-{n}", "--request-id", f"{self.tag}-{n}",
                           "--", PIPELINE, "--items", "8") for n in ("first", "second")]
        executed = 0
        for job in (first, second):
            answer = self.ended(job, "DONE", passes=2)
            executed += sum(p["source"] == "EXECUTED" for p in answer["passes"])
            timeline = self.again("timeline", job).json()
            self.test.assertEqual(timeline["passes"], 2)
            recorded = sum(int(p["result"]["events"]) for p in answer["passes"])
            self.test.assertEqual(int(timeline["events"]), recorded)
        self.test.assertEqual(executed, 2)  # the second job's are the first one's

        request = ["--request-id", f"{self.tag}-open"]
        is_open = self.submitted("submit", self.graph("open", {"open": True, "tasks": [
            {"name": "ask", "external": {"instructions": "look at it"}}]}), *request)
        more = self.graph("more", {"tasks": [
            {"name": "then", "inputs": [{"task": "ask", "artifact": "note"}],
             "verify": {"workload": {"argv": ["grep", self.tag, "note"]}}}]})
        self.again("job", is_open, "add", more, *request)
        self.again("complete-task", is_open, "ask", "--artifact", f"note={data}")
        self.again("job", is_open, "seal")
        self.test.assertEqual(len(self.ended(is_open, "DONE")["tasks"]), 2)

        sleep = endless()
        job = self.submitted("run", "--detach", "--pass", "run", "--name", f"{self.tag}-endless",
                             "--request-id", f"{self.tag}-endless", "--", *sleep)
        first = self.until(lambda: self.running(sleep), "the endless program runs")
        self.service.workers["w1"].kill()
        self.service.start_worker()
        self.until(lambda: self.running(sleep) - first, "it runs again")
        self.again("cancel", job)
        self.ended(job, "CANCELLED")
        self.until(lambda: not self.running(sleep), "it is killed")

        overdue = self.submitted("submit", self.graph("overdue", {"deadline_s": 0.2, "tasks": [
            {"name": "x", "profile": {"workload": {"argv": ["true"]},
                                      "passes": [{"backend": "exec:nobody"}]}}]}),
                                 "--request-id", f"{self.tag}-overdue")
        self.test.assertEqual(self.ended(overdue, "FAILED")["job"]["failure"]["cause"],
                              "DEADLINE_PASSED")
        names = self.again("query", f"SELECT name FROM jobs WHERE name LIKE '{self.tag}-%'").json()
        self.test.assertEqual(
            sorted(row["cells"][0]["text"] for row in names["rows"]),
            sorted(f"{self.tag}-{n}" for n in ("first", "second", "open", "endless", "overdue")))


class Faults(unittest.TestCase):
    def setUp(self):
        self.service = Service()
        self.addCleanup(self.service.close)
        self.to_come = []   # faults that later lives of the coordinator have
        self.lives = 0
        self.start()
        self.service.start_worker()
        self.service.wait_worker()

    def start(self, *faults):
        self.lives += 1
        flags = [flag for fault in faults for flag in ("--fault", fault)]
        self.service.start_coordinator("--limit", "worker_lease_s=12", *flags, wait=False)

    def revive(self):
        """Starts the coordinator if it died, with the next fault."""
        if not self.service.coordinator.alive:
            self.start(*([self.to_come.pop(0)] if self.to_come else []))

    def test_errors_lost_connections_and_lost_replies_at_every_commit(self):
        for action, side in (("error", "before"), ("drop", "before"), ("drop-after", "before"),
                             ("error", "after")):
            with self.subTest(action=action, side=side):
                self.service.coordinator.kill()
                self.start(*(f"{point}.{side}_commit={action}@1" for point in POINTS))
                Scenario(self, self.service, f"{action}-{side}").run()

    def test_a_crash_before_and_after_every_commit(self):
        self.to_come = [f"{point}.{side}_commit=crash@1" for side in ("before", "after")
                        for point in POINTS]
        self.service.coordinator.kill()
        self.revive()
        n = 0
        while self.to_come:
            before = list(self.to_come)
            Scenario(self, self.service, f"crash-{n}").run()
            self.assertNotEqual(self.to_come, before, "no scenario passes the point before the first")
            n += 1


if __name__ == "__main__":
    unittest.main(verbosity=2)

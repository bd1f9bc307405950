"""What several passes of one program tell together, on a real GPU, through the whole service: hangs that are
compared with clean passes, scopes and counters in parts, certificates, modules that a program loads itself.
Needs what gpu_case.py says."""

import json
import unittest

from gpu_case import GpuTest

CLEAN = "activity:light=1"
SCOPES = "scopes:memory=host"


class Passes(GpuTest):
    def counters(self, info, *names):
        """(kernel, counter) → value."""
        return {(c["kernel"], c["name"]): float(c.get("value", 0)) for c in info["result"].get("counters", [])
                if c["name"] in names}

    def by_backend(self, job):
        found = {}
        for info in job["passes"]:
            found.setdefault(info["spec"]["backend"], []).append(info)
        return found

    # ---- hangs ----
    def test_a_hang_of_the_program_itself(self):
        job = self.run_job([CLEAN, SCOPES], "scoped_stuck", "always", wall_s=8)
        self.assertEqual(job["job"]["state"], "FAILED", job)
        self.assertRegex(json.dumps(job), "it hangs by itself|it hangs without the instrument too")

    def test_a_hang_that_the_instrument_causes(self):
        job = self.run_job([CLEAN, SCOPES], "scoped_stuck", "recorded", wall_s=8)
        passes = self.by_backend(job)
        self.assertEqual([one["state"] for one in passes["activity"]], ["DONE"], job)
        stuck = passes["scopes"][0]
        self.assertIn(stuck["result"]["exit"]["verdict"], ("TIMED_OUT", "HANG"), stuck["result"])
        # The last scope of each warp, in the notes.
        self.assertRegex(self.notes(stuck), r'\(producer\).*was inside "wait never" slot 5')
        self.assertRegex(self.notes(stuck), r'\(consumer\).*was inside "spin"')
        self.assertIn("the instrument causes it: without it the program ended", json.dumps(job))

    # ---- parts ----
    def test_scopes_in_two_parts(self):
        job = self.run_job([CLEAN, "scopes:split=2*2"], "scoped_stuck", "exit", options=["--kernels", "stuck"])
        self.assertEqual(job["job"]["state"], "DONE", job)
        scopes = self.by_backend(job)["scopes"]
        self.assertEqual(sorted(one["spec"]["options"]["part"] for one in scopes), ["1", "2"], job)
        done = [one for one in scopes if one["state"] == "DONE"]
        regions = [set(self.regions(job, one)) for one in done]
        self.assertEqual(set.union(*regions), {"work", "outer", "wait never", "spin"})
        for one in regions:
            self.assertLess(len(one), 4, "each part records some of the scopes alone")

    def regions(self, job, info):
        """Names of the regions in a pass's trace."""
        rows = self.service.query(
            f"SELECT DISTINCT region FROM regions WHERE pass_id = {info['pass_id']}")
        return [row[0] for row in rows]

    def test_counters_over_runs_of_the_program_are_those_of_replayed_kernels(self):
        names = ("smsp__inst_executed.sum", "l1tex__t_bytes.sum")
        metrics = "metrics=" + "+".join(names)
        one = self.run_job([f"counters:set=ipc+memory,{metrics}"], "truth_counters", wall_s=60)
        spread = self.run_job([f"counters:set=ipc+memory,{metrics},replay=application"], "truth_counters", wall_s=60)
        want = self.counters(one["passes"][0], *names)
        self.assertGreaterEqual(len(want), 7, one)
        have = {}
        for info in spread["passes"]:
            self.assertTrue(info["state"] == "DONE" or info["spec"].get("optional"), info)
            have.update(self.counters(info, *names))
        self.assertGreater(len([p for p in spread["passes"] if p["state"] == "DONE"]), 1, spread)
        self.assertEqual(set(have), set(want))
        for key, value in want.items():
            self.assertAlmostEqual(have[key] / value if value else have[key] + 1, 1, delta=1e-6, msg=str(key))

    # ---- certificates ----
    def test_instruction_counts_have_a_certificate(self):
        job = self.run_job([f"{CLEAN}*2", "sassmetrics"], "truth_counters", "3", wall_s=60)
        self.assertEqual(job["job"]["state"], "DONE", job)
        report = self.service.ok("--format", "json", "report", job["job"]["job_id"]).json()
        table = next(one for section in report["sections"] for one in section.get("tables", [])
                     if one["name"] == "certificates")
        columns = [one["name"] for one in table["columns"]]
        kernels = [dict(zip(columns, (cell.get("text", "") for cell in row["cells"]))) for row in table["rows"]]
        counted = [one for one in kernels if one["instrument"] == "sassmetrics"]
        self.assertGreaterEqual(len(counted), 7, table)
        for one in counted:
            self.assertRegex(one["clean → instrumented"], r"^[\d.,]+ \S+ → [\d.,]+ \S+$")
            before, after = one["registers"].split(" → ")
            self.assertEqual(before, after, one)
            self.assertEqual((one["same code"], one["verdict"]), ("yes", "ok"), one)

    def test_graphs_compute_what_they_should_while_their_instructions_are_counted(self):
        """It would compare its plates with the host's, and exit with 1."""
        for _ in range(3):
            info = self.run_pass("cuda_graph", "10", "512", backend="sassmetrics", wall_s=60)
            self.assertEqual(info["state"], "DONE", info)
            self.assertIn("each was run alone", self.notes(info))

    def test_graphs_with_kernels_side_by_side_are_refused(self):
        """Patched, they would fault: the program must end well, and the pass say why it has no counts."""
        info = self.run_pass("graph", backend="sassmetrics", wall_s=60)
        self.assertEqual(info["result"]["exit"].get("exit_code", 0), 0, info["result"])
        self.assertEqual(info["state"], "FAILED", info)
        self.assertIn("kernels side by side", info["result"]["failure"]["message"])

    # ---- modules that the program loads itself ----
    def test_modules_of_the_program_are_recorded(self):
        info = self.run_pass("scoped_module", "scoped_kernel.cubin", backend="scopes")
        self.assertEqual(info["state"], "DONE", info)
        self.assertEqual(self.regions(None, info), ["spin in a module"])
        # 10 rounds, in 2 warps of 4 CTAs of 2 launches.
        self.assertEqual(int(info["result"]["events"]), 10 * 2 * 4 * 2)

    # ---- what the driver says ----
    def test_an_illegal_access_is_an_xid(self):
        info = self.run_pass("ends", "illegal")
        self.assertEqual(self.cause(info), "PROGRAM_FAILED", info["result"])
        if "Xid" not in self.notes(info):
            self.skipTest("no Xid was heard of: this driver tells an ordinary user of no events")
        self.assertRegex(self.notes(info), r"Xid (13|31)")


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Recordings of real passes on an H200, played through the whole service where there is no GPU."""

import base64
import unittest

from harness import ROOT, ServiceTest

RECORDINGS = ROOT / "tests/recordings/h200"
H100 = ROOT / "tests/recordings/h100"


class H200(ServiceTest):
    def replay(self, name, pattern="*", recordings=RECORDINGS):
        """A job that plays the recordings of an example; its passes by recorded backend."""
        arguments = []
        for recording in sorted((recordings / name).glob(f"{pattern}.rec")):
            arguments += ["--pass", f"replay:{recording}"]
        self.assertTrue(arguments, f"no recordings {name}/{pattern}")
        job = int(self.service.ok("--format", "json", "run", "--no-timeline", *arguments).lines()[0]["job_id"])
        passes = {}
        for one in self.service.job(job)["passes"]:
            self.assertEqual(one["state"], "DONE", one.get("result", {}).get("failure"))
            passes.setdefault(one["result"]["replayed"]["backend"], []).append(one)
        return job, passes

    def table(self, one, name):
        """Rows of a table as dictionaries, page by page."""
        rows, total = [], 1
        while len(rows) < total:
            page = self.service.ok("--format", "json", "table", one["pass_id"], name, "--first-row", len(rows)).json()
            total = int(page["total_rows"])
            columns = {}
            for column in page["table"]["columns"]:
                if column.get("texts"):
                    words = [base64.b64decode(word).decode() for word in column["dictionary"]]
                    columns[column["name"]] = [words[i] for i in column["texts"]]
                else:
                    columns[column["name"]] = column.get("ints") or column.get("numbers") or []
            rows += [dict(zip(columns, row)) for row in zip(*columns.values())]
        return rows

    def test_known_times_inside_kernels_come_back(self):
        job, passes = self.replay("truth_spins", "0*")
        self.assertEqual(len(passes["scopes"]), 6)
        timeline = self.service.ok("--format", "json", "timeline", job, "--exact").json()
        self.assertEqual(timeline["passes"], 6)
        regions = {(r["role"], r["region"]): r for r in timeline["regions"]}
        # 100,000 cycles, and 80,000 or 200,000, at the 1,980 MHz that were recorded.
        for role in ("first", "other"):
            fixed, two = regions[role, "fixed"], regions[role, "two"]
            for value in fixed["duration_ns"]:
                self.assertAlmostEqual(value, 50_505, delta=505)
            self.assertAlmostEqual(two["duration_ns"][0], 40_404, delta=404)
            self.assertAlmostEqual(two["duration_ns"][2], 101_010, delta=1_010)
        certificates = timeline["perturbation"]
        self.assertTrue(certificates)
        self.assertLess(certificates[0]["ratio"], 1.15)

    def test_every_instrument_sees_the_same_triton_kernel(self):
        job, passes = self.replay("triton_matmul")
        self.assertEqual(sorted(passes), ["activity", "counters", "ir", "pcsampling", "pmsampling", "proton", "sassmetrics"])
        timeline = self.service.ok("--format", "json", "timeline", job).json()
        self.assertEqual(timeline["passes"], 4)
        self.assertIn("mainloop", {r["region"] for r in timeline["regions"]})
        launches = self.table(passes["activity"][0], "launches")
        names = {row["kernel"] for row in launches}
        self.assertIn("matmul_kernel", names)
        for row in launches:
            self.assertGreater(int(row["duration_ns"]), 0)
        for backend, table in (("counters", "counters"), ("pcsampling", "pc_samples"), ("sassmetrics", "sass_metrics"),
                               ("proton", "launches"), ("pcsampling", "launches"), ("ir", "kernels")):
            kernels = {row["kernel"] for row in self.table(passes[backend][0], table)}
            self.assertIn("matmul_kernel", kernels, f"{backend}: {table}")
        # A launch has the same number in all passes, whoever saw it.
        number = {row["launch"] for row in launches if row["kernel"] == "matmul_kernel"}
        self.assertEqual({row["launch"] for row in self.table(passes["proton"][0], "launches")
                          if row["kernel"] == "matmul_kernel"}, number)
        forms = {a["name"].rsplit(".", 1)[1] for a in passes["ir"][0]["result"]["artifacts"] if a["kind"] == "ir"}
        self.assertLessEqual({"ttir", "ttgir", "llir", "ptx", "sass", "cubin"}, forms)

    def test_the_same_code_ran_in_all_passes_of_a_warp_specialised_kernel(self):
        _, passes = self.replay("gemm_ws")
        codes = set()
        for backend, table in (("activity", "launches"), ("scopes", "launches"), ("pcsampling", "pc_samples"),
                               ("sassmetrics", "sass_metrics"), ("ir", "kernels")):
            seen = {row["sass_digest"] for one in passes[backend] for row in self.table(one, table)
                    if row["kernel"].startswith("gemm_ws(")}
            self.assertEqual(len(seen), 1, f"{backend}: {seen}")
            codes |= seen
        self.assertEqual(len(codes), 1)
        barriers = self.table(passes["scopes"][0], "barriers")
        self.assertEqual({row["barrier"] for row in barriers}, {"full", "empty"})
        lines = {int(row["line"]) for row in self.table(passes["sassmetrics"][0], "sass_metrics")}
        self.assertGreater(len(lines), 20)

    def test_what_parts_of_a_kernel_cost_is_answered_and_printed(self):
        job, _ = self.replay("gemm_ws")
        about = (job, "--kernel", "gemm_ws")
        costs = self.service.ok("--format", "json", "costs", *about).json()
        regions = {(r["role"], r["region"]): r for r in costs["regions"]}
        mma = regions["consumer", "mma"]
        self.assertEqual(mma["confidence"], 1)
        self.assertEqual(int(mma["instances"]), 32768)
        self.assertGreater(mma["instructions"], 0)
        spots = self.service.ok("--format", "json", "hotspots", *about, "--by", "sass", "--within", "mma").json()
        self.assertIn("WARPGROUP", spots["hotspots"][0]["text"])
        self.assertEqual(self.service.ok("--format", "json", "registers", *about).json()["registers"], 168)
        points = self.service.ok("--format", "json", "roofline", *about).json()["points"]
        self.assertEqual({p["work"] for p in points if not p.get("region")}, {2.0 * 2048**3})
        of_mma = [p for p in points if p.get("region") == "mma"]
        self.assertTrue(of_mma)
        self.assertLessEqual({p["level"] for p in of_mma}, {"L1", "L2", "DRAM"})
        for command, word in (("costs", "consumer"), ("hotspots", "gemm_ws.cu:"), ("registers", "168 registers"),
                              ("roofline", "BF16 tensor")):
            self.assertIn(word, self.service.ok(command, *about).out)
        missing = self.service.cli("costs", job, "--kernel", "nothing")
        self.assertNotEqual(missing.code, 0)
        self.assertIn("kernel:", missing.err)

    def test_regions_of_a_triton_kernel_have_instructions_by_the_lines_that_proton_kept(self):
        job, _ = self.replay("triton_matmul", recordings=H100)
        about = (job, "--kernel", "matmul_kernel")
        costs = self.service.ok("--format", "json", "costs", *about).json()
        regions = {r["region"]: r for r in costs["regions"]}
        self.assertEqual(set(regions), {"mainloop", "load", "dot", "epilogue"})
        for region in regions.values():
            self.assertEqual(region["source"], "sassmetrics by source line")
            self.assertTrue(0 < region["ipc"] < 1, region)
            self.assertIn("moves code over borders", region["why"])
        self.assertEqual(regions["dot"]["code"], ["kernel.py:29-32"])
        self.assertEqual(regions["dot"]["parent"], "mainloop")
        spots = self.service.ok("--format", "json", "hotspots", *about, "--by", "region").json()
        shares = {(s.get("parent", ""), s["name"]): s["share"] for s in spots["hotspots"]}
        self.assertGreater(shares["", "mainloop"], shares["mainloop", "dot"])
        within = self.service.ok("--format", "json", "hotspots", *about, "--by", "sass", "--within", "epilogue").json()
        self.assertIn("STG", " ".join(s["text"] for s in within["hotspots"]))
        roofline = self.service.ok("--format", "json", "roofline", *about).json()
        work = {p.get("region", p["level"]): p["work"] for p in roofline["points"] if "work" in p}
        self.assertEqual(work["mainloop"], 2 * 1024**3)
        text = self.service.ok("costs", *about).out
        self.assertIn("kernel.py:24-28", self.service.ok("--format", "json", "costs", *about).out)
        self.assertIn("mainloop", text)

    def test_the_report_of_a_job_is_one_document_in_each_format(self):
        job, _ = self.replay("gemm_ws")
        diagnosis = self.service.ok("--format", "json", "diagnosis", job).json()
        self.assertEqual(diagnosis["verdict"].count("gemm_ws takes "), 1)
        self.assertEqual(diagnosis["verdict"].count("check takes "), 1)
        asked = self.service.ok("--format", "json", "diagnosis", job, "--kernel", "gemm_ws").json()
        self.assertIn("critical-region", {finding["rule"] for finding in asked["findings"]})
        page = self.service.dir / "report.html"
        self.service.ok("report", job, "--format", "html", "-o", page)
        html = page.read_text()
        self.assertIn("<svg", html)
        self.assertNotIn("<script", html)
        self.assertLessEqual(len(self.service.ok("report", job, "--format", "tldr").out.encode()), 8000)
        section = self.service.ok("report", job, "--section", "critical-path").out
        self.assertIn("shares of the critical path", section)
        self.assertNotIn("## Environment", section)
        self.assertEqual(self.service.cli("report", job, "--section", "nothing").code, 5)

    def test_every_recording_plays(self):
        for example in sorted(RECORDINGS.iterdir()):
            with self.subTest(example.name):
                _, passes = self.replay(example.name)
                self.assertLessEqual({"activity", "counters", "ir", "pcsampling", "pmsampling"} -
                                     ({"ir"} if example.name == "pytorch_mlp" else set()), set(passes))

    def test_a_machine_class_of_the_recording_is_what_counts(self):
        _, passes = self.replay("truth_spins", "0[03]*")
        for group in passes.values():
            for one in group:
                provenance = one["result"]["provenance"]
                self.assertTrue(provenance["machine_class"].startswith("gpu:NVIDIA H200:"), provenance["machine_class"])
                self.assertEqual(provenance["extra"]["replayed"], "yes")


if __name__ == "__main__":
    unittest.main()

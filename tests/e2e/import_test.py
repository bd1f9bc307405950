"""Files of other tools become jobs like any other."""

import base64
import gzip
import json
import os
import subprocess
import unittest

import kineto
from harness import PIPELINE, ROOT, ServiceTest

RECORDINGS = ROOT / "tests/recordings/proton"
TESTDATA = ROOT / "workers/backends"


def unpacked(path, to):
    """A file of one zstd frame, in `to`."""
    with open(to, "wb") as out:
        subprocess.run(["zstd", "-dcq", path], stdout=out, check=True)
    return to


class Import(ServiceTest):
    WORKER = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.service.start_worker("w1", "--exec-backends", ROOT / "examples/backends")
        cls.service.wait_worker()

    def imported(self, *arguments):
        """The job's id, and its passes."""
        answer = self.service.ok("--format", "json", "import", "--no-timeline", *arguments).lines()[0]
        job = int(answer["job_id"])
        passes = self.service.job(job)["passes"]
        for one in passes:
            self.assertEqual(one["state"], "DONE", one)
        return job, passes

    def refused(self, content, *arguments, name="bad"):
        path = self.service.dir / name
        path.write_bytes(content)
        result = self.service.cli("import", "--no-timeline", *arguments, path)
        self.assertEqual(result.code, 1, result.out + result.err)
        return result.out + result.err

    def write(self, name, value):
        path = self.service.dir / name
        path.write_text(json.dumps(value))
        return path

    def table(self, one, name):
        page = self.service.ok("--format", "json", "table", one["pass_id"], name).json()
        columns = {}
        for column in page["table"]["columns"]:
            if column.get("texts"):
                words = [base64.b64decode(word).decode() for word in column["dictionary"]]
                columns[column["name"]] = [words[i] for i in column["texts"]]
            else:
                columns[column["name"]] = column.get("ints") or column.get("numbers") or []
        return columns

    # ---- PyTorch's profiler ----
    def test_a_kineto_trace_has_threads_streams_kernels_and_copies(self):
        path = self.write("kineto.json", kineto.trace())
        job, passes = self.imported(path)
        one = passes[0]["result"]
        self.assertEqual(one["replayed"]["backend"], "kineto")
        self.assertEqual(one["provenance"]["machine_class"], "imported, NVIDIA H200")
        self.assertEqual(int(one["provenance"]["started_unix_ns"]), kineto.BASE_NS + 1_000_000)
        launches = self.table(passes[0], "launches")
        self.assertEqual([int(ns) for ns in launches["duration_ns"]], [41_216, 3_328] * kineto.STEPS)
        self.assertEqual(launches["kernel"][1], "void at::native::elementwise_kernel<128, 4>(int, float*)")
        self.assertEqual(set(map(int, launches["grid_x"])), {132, 1024})
        self.assertEqual(self.table(passes[0], "copies")["kind"], ["HtoD"] * kineto.STEPS)
        timeline = self.service.ok("--format", "json", "timeline", job, "--exact").json()
        self.assertEqual(sorted(lane["role"] for lane in timeline["lanes"]), ["stream 7 ", "thread 4242 (python)"])
        self.assertEqual(int(timeline["events"]), kineto.STEPS * 7)
        self.assertTrue(any('phase "s"' in note for note in one["notes"]), one["notes"])

    def test_importing_again_is_the_same_job_unless_told_otherwise(self):
        path = self.service.dir / "again.json.gz"
        path.write_bytes(gzip.compress(json.dumps(kineto.trace(1.5)).encode()))
        first, _ = self.imported(path)
        self.assertEqual(self.imported(path)[0], first)
        self.assertNotEqual(self.imported("--again", path)[0], first)
        other = self.service.dir / "other"
        other.mkdir()
        (other / "again.json.gz").write_bytes(path.read_bytes())
        self.assertEqual(self.imported(other / "again.json.gz")[0], first)   # the same file elsewhere

    def test_imports_are_reported_and_compared_like_any_job(self):
        jobs = []
        for scale in (1.0, 2.0):
            paths = [self.write(f"run{scale}-{i}.json", kineto.trace(scale * (1 + 0.001 * i))) for i in range(4)]
            jobs.append(self.imported(*paths)[0])
        self.assertIn("4 passes", self.service.ok("report", jobs[0]).out)
        compared = self.service.cli("--format", "json", "compare", *jobs, "--gate", "2%")
        self.assertEqual(compared.code, 1, compared.err)
        self.assertEqual(compared.json()["verdict"], "slower")

    def test_any_chrome_trace_can_be_imported(self):
        events = [{"ph": "B", "name": "outer", "pid": 1, "tid": "main", "ts": 10}, {"ph": "B", "name": "inner", "pid": 1, "tid": "main", "ts": 12.5},
                  {"ph": "E", "pid": 1, "tid": "main", "ts": 14}, {"ph": "E", "pid": 1, "tid": "main", "ts": 20}]
        job, passes = self.imported(self.write("chrome.json", events))
        self.assertEqual(passes[0]["result"]["replayed"]["backend"], "chrome")
        regions = self.service.ok("--format", "json", "timeline", job, "--exact").json()["regions"]
        self.assertEqual({r["region"]: r["sum_ns"] for r in regions}, {"outer": 10_000, "inner": 1_500})

    # ---- Proton ----
    def test_protons_raw_buffer_and_its_chrome_trace_say_the_same(self):
        names = ("--kernel", "mm_kernel", "--scopes", "mainloop+load+dot+epilogue")
        raw, passes = self.imported(*names, unpacked(RECORDINGS / "mm_shared_0.bin.zst", self.service.dir / "mm.bin"))
        self.assertEqual(passes[0]["result"]["replayed"]["backend"], "proton")
        chrome, _ = self.imported(unpacked(RECORDINGS / "mm_shared_0.chrome_trace.zst", self.service.dir / "mm.chrome_trace"))

        def sums(job):
            rows = self.service.ok("export", job, "--as", "csv").out.splitlines()[1:]
            counts = {}
            for row in rows:
                fields = row.split(",")
                region = counts.setdefault(fields[7], [0, 0])
                region[0] += 1
                region[1] += int(fields[10])
            return counts
        self.assertEqual(sums(raw), sums(chrome))
        self.assertEqual(sorted(sums(raw)), ["dot", "epilogue", "load", "mainloop"])

    def test_a_hatchet_tree_becomes_counters(self):
        job, _ = self.imported(RECORDINGS / "host.hatchet")
        rows = self.service.query(f"SELECT DISTINCT name, unit FROM counters WHERE job_id = {job}")
        self.assertIn(["time", "ns"], rows)

    def test_three_traces_are_three_passes_of_one_timeline(self):
        paths = [unpacked(RECORDINGS / f"mm_{where}_0.chrome_trace.zst", self.service.dir / f"{where}.chrome_trace")
                 for where in ("shared", "global")]
        job, passes = self.imported(*paths)
        self.assertEqual(len(passes), 2)
        self.assertEqual(self.service.ok("--format", "json", "timeline", job).json()["passes"], 2)

    # ---- the others ----
    def test_ncus_pages_in_a_folder_are_one_pass(self):
        folder = self.service.dir / "ncu"
        folder.mkdir()
        (folder / "r.csv").write_bytes((TESTDATA / "ncu/testdata/basic.raw.csv").read_bytes())
        (folder / "d.csv").write_bytes((TESTDATA / "ncu/testdata/basic.details.csv").read_bytes())
        (folder / "readme.txt").write_text("notes of mine")
        (folder / "report.ncu-rep").write_bytes(b"NVR\0 not a real one")
        job, passes = self.imported(folder)
        result = passes[0]["result"]
        self.assertEqual(result["replayed"]["backend"], "ncu")
        self.assertIn("H200", result["provenance"]["machine_class"])
        self.assertTrue(any("readme.txt was left out" in note for note in result["notes"]))
        self.assertGreater(len(self.table(passes[0], "ncu")["metric"]), 100)
        # And the report goes out as it came in.
        out = self.service.dir / "back.ncu-rep"
        self.service.ok("export", job, "-o", out)
        self.assertEqual(out.read_bytes(), b"NVR\0 not a real one")

    def test_cutracers_histogram_is_joined_with_its_trace(self):
        _, passes = self.imported("--together", *sorted((TESTDATA / "cutracer/testdata").glob("kernel_*")))
        self.assertEqual(passes[0]["result"]["replayed"]["backend"], "cutracer")
        self.assertEqual(self.table(passes[0], "instructions")["kernel"][0], "scoped(float*)")

    def test_rocprofv3s_files_are_read_by_the_sites_backend(self):
        data = TESTDATA / "exec/testdata"
        _, passes = self.imported("--together", *sorted(data.glob("rocprof_*.csv")))
        self.assertEqual(passes[0]["result"]["replayed"]["backend"], "exec:rocprof")
        self.assertEqual([int(ns) for ns in self.table(passes[0], "launches")["duration_ns"]], [4500, 10000, 4000])
        _, passes = self.imported(data / "rocprof_results.json")
        self.assertEqual(self.table(passes[0], "launches")["kernel"], ["f(int*)"])

    def test_scope_files_of_kernels_and_of_threads(self):
        path = unpacked(TESTDATA / "scopes/testdata/gemm_ws.bin.zst", self.service.dir / "scopes.bin")
        _, passes = self.imported(path)
        self.assertEqual(passes[0]["result"]["replayed"]["backend"], "scopes")
        self.assertIn("H200", passes[0]["result"]["provenance"]["machine_class"])
        folder = self.service.dir / "threads"
        folder.mkdir()
        subprocess.run([PIPELINE, "--items", "8"], env=dict(os.environ, SEXTANT_RESULTS=str(folder)), check=True,
                       stdout=subprocess.DEVNULL)
        job, passes = self.imported(folder)
        self.assertEqual(passes[0]["result"]["replayed"]["backend"], "host")
        self.assertTrue(self.service.ok("--format", "json", "timeline", job).json()["lanes"])

    # ---- what is none ----
    def test_what_cannot_be_read_is_refused_with_the_place(self):
        whole = json.dumps(kineto.trace()).encode()
        self.assertRegex(self.refused(whole[:2000], name="cut.json"), r"cut\.json: byte \d+")
        self.assertIn("no file of a known tool", self.refused(b"\x7fELF nothing"))
        self.assertIn("no file of a known tool", self.refused(b""))
        self.assertIn("damaged or cut off", self.refused(gzip.compress(whole)[:-400], name="cut.json.gz"))
        negative = kineto.trace()
        negative["traceEvents"][7]["dur"] = -1
        self.assertIn('traceEvents[7] ("aten::linear"): dur is negative', self.refused(json.dumps(negative).encode()))
        self.assertIn("no complete event", self.refused(b'{"traceEvents": []}'))
        self.assertIn("--page raw", self.refused(b"NVR\0 a report"))
        self.assertIn("kind", self.refused(whole, "--kind", "nonsense"))
        self.assertIn("not of ncu but a trace of PyTorch's profiler", self.refused(whole, "--kind", "ncu"))
        header = b"warp_id,region_id,instruction,count\n0,-1,FADD,2\n"
        self.assertIn("histogram line 2", self.refused(header))

    def test_files_of_two_tools_are_no_pass(self):
        folder = self.service.dir / "mixed"
        folder.mkdir()
        (folder / "a.csv").write_bytes((TESTDATA / "ncu/testdata/basic.raw.csv").read_bytes())
        (folder / "b.json").write_text(json.dumps(kineto.trace()))
        result = self.service.cli("import", folder)
        self.assertEqual(result.code, 1)
        self.assertIn("of two tools: a.csv is the raw page", result.out + result.err)


if __name__ == "__main__":
    unittest.main()

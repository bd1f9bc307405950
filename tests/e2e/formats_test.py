"""Exports of real recordings, read back by programs that are not ours."""

import collections
import csv
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import unittest

from harness import ROOT, ServiceTest

# Readers of other formats: deploy/python.sh installs them into an environment of their own.
if __name__ == "__main__" and ".cache/python" not in sys.prefix:
    interpreter = subprocess.check_output([ROOT / "deploy/python.sh"], text=True).strip()
    os.execv(interpreter, [interpreter, *sys.argv])

import duckdb
import pyarrow.parquet
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as perfetto

RECORDINGS = ROOT / "tests/recordings/h200"


class Slice:
    def __init__(self, track, name, start, notes):
        self.track, self.name, self.start, self.notes = track, name, start, notes
        self.end, self.ended_flows = None, []


class PerfettoTrace:
    """What a reader makes of the packets: events by time, equal times as written; slices of a track nest."""

    def __init__(self, data):
        trace = perfetto.Trace()
        trace.ParseFromString(data)
        self.tracks, names, notes = {}, {}, {}
        events = []
        for packet in trace.packet:
            assert packet.trusted_packet_sequence_id == 1
            for one in packet.interned_data.event_names:
                names[one.iid] = one.name
            for one in packet.interned_data.debug_annotation_names:
                notes[one.iid] = one.name
            if packet.HasField("track_descriptor"):
                track = packet.track_descriptor
                assert track.uuid not in self.tracks, "a track is described twice"
                assert not track.parent_uuid or track.parent_uuid in self.tracks
                self.tracks[track.uuid] = track
            elif packet.HasField("track_event"):
                event = packet.track_event
                assert event.track_uuid in self.tracks, "an event of no track"
                events.append((packet.timestamp, event, names.get(event.name_iid),
                               {notes[n.name_iid]: n.uint_value if n.HasField("uint_value") else n.double_value
                                for n in event.debug_annotations}))
        events.sort(key=lambda e: e[0])
        self.slices, self.instants, self.counters = [], [], collections.defaultdict(list)
        opened = collections.defaultdict(list)
        for at, event, name, note in events:
            stack = opened[event.track_uuid]
            if event.type == event.TYPE_SLICE_BEGIN:
                stack.append(Slice(event.track_uuid, name, at, note))
                self.slices.append(stack[-1])
            elif event.type == event.TYPE_SLICE_END:
                done = stack.pop()   # raises when there is none
                done.end, done.ended_flows = at, list(event.terminating_flow_ids)
            elif event.type == event.TYPE_INSTANT:
                self.instants.append((event.track_uuid, name, at, list(event.flow_ids)))
            else:
                assert event.type == event.TYPE_COUNTER
                assert self.tracks[event.track_uuid].HasField("counter")
                self.counters[event.track_uuid].append((at, event.double_counter_value))
        assert not any(opened.values()), "a slice has no end"

    def process(self, uuid):
        while self.tracks[uuid].parent_uuid:
            uuid = self.tracks[uuid].parent_uuid
        return self.tracks[uuid].process.process_name


class Formats(ServiceTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.jobs = {name: cls.replay(name) for name in ("truth_spins", "triton_matmul")}

    @classmethod
    def replay(cls, name):
        answer = cls.service.ok("--format", "json", "run", "--no-timeline", "--pass", f"replay:{RECORDINGS / name}")
        return int(answer.lines()[0]["job_id"])

    def exported(self, job, ending, *arguments):
        path = self.service.dir / f"out{ending}"
        self.service.ok("export", self.jobs[job], "-o", path, *arguments)
        return path

    def scopes_rows(self):
        """Rows of the CSV of the scopes passes of truth_spins."""
        rows = csv.DictReader(io.StringIO(self.exported("truth_spins", ".csv").read_text()))
        return [row for row in rows if row["unit"] == "cycles"]

    def test_perfetto_has_every_instance_where_the_csv_has_it(self):
        trace = PerfettoTrace(self.exported("truth_spins", ".pftrace").read_bytes())
        found = collections.Counter()
        for one in trace.slices:
            process = trace.process(one.track)
            if process.startswith("pass ") and "scopes" in process:
                found[one.name, one.start, one.notes["cycles"], one.notes["ordinal"]] += 1
        expected = collections.Counter((row["region"], int(row["start_ns"]), int(row["duration"]), int(row["ordinal"]))
                                       for row in self.scopes_rows())
        self.assertGreater(len(expected), 100)
        self.assertEqual(found, expected)

    def test_perfetto_has_roles_as_tracks_and_quantiles_as_counters(self):
        trace = PerfettoTrace(self.exported("truth_spins", ".pftrace").read_bytes())
        timeline = self.service.ok("--format", "json", "timeline", self.jobs["truth_spins"]).json()
        names = [track.name for track in trace.tracks.values()]
        for role in ("first", "other"):
            self.assertIn(f"launch 0 · {role}", names)
        quantiles = {}
        for uuid, values in trace.counters.items():
            lane = trace.tracks[trace.tracks[uuid].parent_uuid].name.split(" ×")[0]
            self.assertTrue(trace.process(uuid).startswith("statistical timeline"))
            quantiles[lane, trace.tracks[uuid].name] = [value for _, value in values]
        checked = 0
        for lane in timeline["lanes"]:
            by_region = collections.defaultdict(list)
            for one in lane["instances"]:
                by_region[one["region"]].append(one["duration_ns"])
            for region, durations in by_region.items():
                for at, name in enumerate(("P20", "P50", "P80")):
                    self.assertEqual(quantiles[lane["role"], f"{region} {name}"], [d[at] for d in durations])
                    checked += 1
        self.assertGreaterEqual(checked, 18)

    def test_perfetto_flows_lead_from_a_signal_to_the_end_of_the_wait_for_it(self):
        trace = PerfettoTrace(self.exported("truth_spins", ".pftrace").read_bytes())
        begun = {flow: (name, at) for _, name, at, flows in trace.instants for flow in flows}
        self.assertGreater(len(begun), 100)
        ended = 0
        for one in trace.slices:
            for flow in one.ended_flows:
                name, at = begun[flow]
                self.assertEqual(one.name.replace("wait ", "signal "), name)
                self.assertLessEqual(at, one.end)
                ended += 1
        self.assertEqual(ended, len(begun))

    def test_the_subset_of_perfettos_format_is_what_protoc_reads(self):
        path = self.exported("truth_spins", ".pftrace")
        with open(path, "rb") as file:
            text = subprocess.run(["protoc", f"-I{ROOT}/proto", "--decode=sextant.foreign.perfetto.Trace",
                                   "sextant/foreign/perfetto.proto"], stdin=file, capture_output=True, check=True).stdout
        self.assertNotRegex(text.decode(), r"(?m)^\s*\d+:")   # no field that is not named

    def test_parquet_is_the_csv_in_pyarrow_and_duckdb(self):
        rows = list(csv.DictReader(io.StringIO(self.exported("truth_spins", ".csv").read_text())))
        path = self.exported("truth_spins", ".parquet")
        table = pyarrow.parquet.read_table(path)
        self.assertEqual(table.num_rows, len(rows))
        self.assertEqual([str(v) for v in table["start_ns"].to_pylist()], [row["start_ns"] for row in rows])
        self.assertEqual(table["region"].to_pylist(), [row["region"] for row in rows])
        described = pyarrow.parquet.read_metadata(path).metadata
        self.assertEqual(json.loads(described[b"sextant.units"]), {"start_ns": "ns"})
        sums = duckdb.sql(f"SELECT region, count(*), sum(duration)::BIGINT FROM '{path}' GROUP BY 1 ORDER BY 1").fetchall()
        expected = collections.defaultdict(lambda: [0, 0])
        for row in rows:
            expected[row["region"]][0] += 1
            expected[row["region"]][1] += int(row["duration"])
        self.assertEqual(sums, [(name, *value) for name, value in sorted(expected.items())])
        # Readers may skip by the statistics: they must be so.
        late = max(int(row["start_ns"]) for row in rows)
        self.assertEqual(duckdb.sql(f"SELECT count(*) FROM '{path}' WHERE start_ns > {late}").fetchall()[0][0], 0)
        self.assertGreaterEqual(duckdb.sql(f"SELECT count(*) FROM '{path}' WHERE start_ns = {late}").fetchall()[0][0], 1)

    def test_tables_of_passes_of_several_kinds_become_one(self):
        path = self.exported("truth_spins", ".parquet", "--table", "launches")
        rows = list(csv.DictReader(io.StringIO(self.exported("truth_spins", ".csv", "--table", "launches").read_text())))
        read = pyarrow.parquet.read_table(path)
        self.assertEqual(read.num_rows, len(rows))
        for name in read.column_names:
            values = ["" if v is None else v for v in read[name].to_pylist()]
            if isinstance(next((v for v in values if v != ""), ""), float):
                self.assertEqual(values, [float(row[name]) if row[name] else "" for row in rows], name)
            else:
                self.assertEqual([str(v) for v in values], [row[name] for row in rows], name)
        passes = duckdb.sql(f"SELECT count(DISTINCT pass_id) FROM '{path}'").fetchall()[0][0]
        self.assertGreaterEqual(passes, 4)

    def test_a_table_that_no_pass_left_is_refused_with_those_there_are(self):
        result = self.service.cli("export", self.jobs["truth_spins"], "--table", "nonsense", "--as", "csv")
        self.assertNotEqual(result.code, 0)
        self.assertIn("launches", result.err)
        result = self.service.cli("export", self.jobs["truth_spins"], "--table", "launches", "--as", "perfetto")
        self.assertIn("only CSV and PARQUET", result.err)
        self.assertIn("perfetto, chrome", self.service.cli("export", "1", "--as", "nonsense").err)
        self.assertIn("left no report", self.service.cli("export", self.jobs["truth_spins"], "--as", "ncu-rep").err)

    def pprof(self, path):
        text = subprocess.run(["protoc", f"-I{ROOT}/proto", "--decode=sextant.foreign.pprof.Profile",
                               "sextant/foreign/pprof.proto"], input=gzip.decompress(path.read_bytes()),
                              capture_output=True, check=True).stdout.decode()
        self.assertNotRegex(text, r"(?m)^\s*\d+:")
        return text

    def test_pprof_has_the_samples_of_each_line_and_their_stalls(self):
        path = self.exported("triton_matmul", ".pb.gz")
        self.assertIn("unhidden", self.pprof(path))
        table = self.service.ok("--format", "json", "query", "SELECT pass_id FROM artifacts WHERE name = "
                                f"'pc_samples.table' AND job_id = {self.jobs['triton_matmul']}").json()
        pass_id = table["rows"][0]["cells"][0]["text"]
        rows = list(csv.DictReader(io.StringIO(self.exported(
            "triton_matmul", ".csv", "--table", "pc_samples", "--pass", pass_id).read_text())))
        total = sum(int(row["samples"]) for row in rows)
        self.assertGreater(total, 0)
        if shutil.which("go") is None:
            self.skipTest("there is no go to run `go tool pprof` with")
        top = self.go_pprof("-top", "-sample_index=samples", path)
        self.assertIn(f"{total} total", top)
        worst = collections.Counter()
        for row in rows:
            worst[row["stall"]] += int(row["samples"])
        stall = worst.most_common(1)[0][0]
        tags = self.go_pprof("-tags", "-sample_index=samples", path)
        self.assertRegex(tags, rf"(?m)^\s*{worst[stall]}\b.*\b{stall}")

    def test_pprof_of_traces_has_the_time_of_regions_without_nested_ones(self):
        passes = self.service.job(self.jobs["truth_spins"])["passes"]
        named = [word for one in passes if one["result"]["replayed"]["backend"] == "scopes"
                 for word in ("--pass", one["pass_id"])]
        path = self.exported("truth_spins", ".pb.gz", *named)
        self.assertIn("cycles", self.pprof(path))
        if shutil.which("go") is None:
            self.skipTest("there is no go to run `go tool pprof` with")
        sums = collections.Counter()
        for row in self.scopes_rows():
            sums[row["region"]] += int(row["duration"])
        raw = self.go_pprof("-top", "-unit=cycles", "-sample_index=cycles", path)
        lines = {}
        for line in raw.splitlines():
            words = line.split(None, 5)
            if len(words) == 6 and words[0].rstrip("cycles").isdigit():
                lines[words[5]] = (int(words[0].rstrip("cycles")), int(words[3].rstrip("cycles")))
        # Cumulative time is the sum of the instances; "outer" has "inner" within it, "fixed" nothing.
        self.assertEqual(lines["fixed"], (sums["fixed"], sums["fixed"]))
        self.assertEqual(lines["outer"], (sums["outer"] - sums["inner"], sums["outer"]))

    def go_pprof(self, *arguments):
        return subprocess.run(["go", "tool", "pprof", *map(str, arguments)], capture_output=True, text=True, check=True,
                              env=dict(os.environ, PPROF_TMPDIR=str(self.service.dir))).stdout


if __name__ == "__main__":
    unittest.main()

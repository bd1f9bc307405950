#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/decoder.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "tests/catch.h"
#include "workers/backends/backend.h"
#include "workers/backends/formats/gzip.h"
#include "workers/backends/import/import_backend.h"
#include "workers/backends/import/kind.h"
#include "workers/backends/import/trace_events_importer.h"

namespace sextant::backends {
namespace {
namespace fs = std::filesystem;
using import::Kind;

// A pass of the backend with files in its directory, as the agent would lay them.
class Sent {
 public:
  Sent() {
    char name[] = "/tmp/sextant-import-XXXXXX";
    directory = mkdtemp(name);
    fs::create_directories(directory / "work/imports/0");
    fs::create_directory(directory / "results");
    Set("path", "imports/0");
  }
  ~Sent() { fs::remove_all(directory); }

  void Set(const std::string& name, const std::string& value) {
    (*assignment.mutable_spec()->mutable_options())[name] = value;
  }
  void Add(const std::string& name, const std::string& content) {
    std::ofstream(directory / "work/imports/0" / name, std::ios::binary) << content;
    assignment.mutable_workload()->add_files()->set_path("imports/0/" + name);
  }
  absl::StatusOr<Collected> Collect() {
    backends_ = AllBackends(Site());
    std::vector<const Backend*> collectors;
    for (const auto& backend : backends_) collectors.push_back(backend.get());
    RunRecord run;
    run.assignment = &assignment;
    run.work_dir = directory / "work";
    run.results_dir = directory / "results";
    return ImportBackend(std::move(collectors)).Collect(run);
  }
  std::string Complaint() {
    const auto collected = Collect();
    return collected.ok() ? "" : std::string(collected.status().message());
  }

  fs::path directory;
  v1::Assignment assignment;

 private:
  std::vector<std::unique_ptr<Backend>> backends_;
};

std::string Gzip(const std::string& text) {
  z_stream stream = {};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

constexpr char kTwoEvents[] =
    R"({"deviceProperties":[{"id":0,"name":"GPU X"}],"baseTimeNanoseconds":1000,"traceEvents":[
{"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":10.5,"dur":2.25,"args":{"stream":7,"grid":[2,3,4],"nested":{"grid":[9]},"block":[32,1,1]}},
{"ph":"X","cat":"cpu_op","name":"op","pid":9,"tid":9,"ts":8,"dur":5}]})";

TEST_CASE("a file's kind is told from its content") {
  const auto is = [](std::string_view head, Kind kind) { return import::KindOf(head) == kind; };
  CHECK(is(kTwoEvents, Kind::kKineto));
  CHECK(is(R"([{"ph":"X","name":"a"}])", Kind::kChrome));
  CHECK(is(R"e({"traceEvents":[{"ph":"X","pid":"k Core1 CTA2","tid":"warp 3 (line 0)"}]})e", Kind::kProtonTrace));
  CHECK(is(R"({"traceEvents":[{"args":{"call_stack":["ROOT"]},"cat":"kernel","ph":"X","tid":7}]})",
           Kind::kProtonHostTrace));
  CHECK(is(R"([{"frame":{"name":"ROOT"},"metrics":{},"children":[]},{}])", Kind::kHatchet));
  CHECK(is("==PROF== x\n\n\"ID\",\"Process ID\",\"Kernel Name\",\"m\"\n", Kind::kNcuRaw));
  CHECK(is("\"ID\",\"Process ID\",\"Kernel Name\",\"Metric Name\"\n", Kind::kNcuDetails));
  CHECK(is("warp_id,region_id,instruction,count\n", Kind::kCutracerHistogram));
  CHECK(is("\xef\xbb\xbf{\"type\":\"kernel_metadata\"}\n", Kind::kCutracerTrace));
  CHECK(is("\"Kind\",\"Kernel_Name\",\"Start_Timestamp\"\n", Kind::kRocprofKernels));
  CHECK(is("SXTSCOP\1", Kind::kScopes));
  CHECK(is("sxrec 1\n", Kind::kRecording));
  for (const char* none : {"", " ", "{", "[", "a,b", "x", "{\"a\":1}", "==\n==", "SXT"})
    CHECK_FALSE(import::KindOf(none).has_value());
}

TEST_CASE("events become a trace from the first one on, kernels a table too") {
  const auto imported = import::ImportTraceEventsUntrusted(kTwoEvents);
  REQUIRE(imported.ok());
  CHECK(imported->device == "GPU X");
  CHECK(imported->started_unix_ns == 9000);
  REQUIRE(imported->collected.chunks.size() == 1);
  const auto chunk = chunk::DecodeUntrusted(imported->collected.chunks[0]);
  REQUIRE(chunk.ok());
  CHECK(chunk->header.first_ns() == 0);
  CHECK(chunk->header.last_ns() == 5000);
  const v1::DataTable& launches = imported->collected.tables[0];
  CHECK(table::NumberAt(*table::Find(launches, "start_ns"), 0) == 2500);
  CHECK(table::NumberAt(*table::Find(launches, "duration_ns"), 0) == 2250);
  CHECK(table::NumberAt(*table::Find(launches, "grid_y"), 0) == 3);
  CHECK(table::NumberAt(*table::Find(launches, "block_x"), 0) == 32);
}

TEST_CASE("times since 1970 keep their nanoseconds") {
  const auto imported = import::ImportTraceEventsUntrusted(
      R"([{"ph":"X","name":"a","pid":1,"tid":1,"ts":1780000000000001.001,"dur":0.001},
          {"ph":"X","name":"b","pid":1,"tid":1,"ts":1780000000000001.004,"dur":1e-3}])");
  REQUIRE(imported.ok());
  const auto chunk = chunk::DecodeUntrusted(imported->collected.chunks[0]);
  REQUIRE(chunk.ok());
  CHECK(chunk->start == std::vector<uint64_t>{0, 3});
  CHECK(chunk->duration == std::vector<uint64_t>{1, 1});
  CHECK(imported->started_unix_ns == 1780000000000001001);
}

TEST_CASE("a list that ends after an event is whole; one that ends within is not") {
  const std::string list = R"([{"ph":"X","name":"a","pid":1,"tid":1,"ts":1,"dur":1},)";
  CHECK(import::ImportTraceEventsUntrusted(list.substr(0, list.size() - 1)).ok());
  CHECK(import::ImportTraceEventsUntrusted(list).ok());
  const auto within = import::ImportTraceEventsUntrusted(list.substr(0, 30));
  CHECK(absl::StrContains(within.status().message(), "byte "));
}

TEST_CASE("limits leave out what is beyond them, and say so") {
  std::string text = "[";
  for (int i = 0; i < 100; ++i)
    absl::StrAppend(&text, i == 0 ? "" : ",", R"({"ph":"X","name":"r)", i, R"(","pid":1,"tid":)", i % 10,
                    R"(,"ts":)", i, R"(,"dur":1})");
  const auto imported = import::ImportTraceEventsUntrusted(
      text + "]", {.max_instances = 60, .max_tracks = 8, .max_regions = 5});
  REQUIRE(imported.ok());
  CHECK(imported->collected.events == 60);
  std::string notes;
  for (const std::string& note : imported->collected.notes) notes += note + "\n";
  CHECK(absl::StrContains(notes, "40 events were left out"));
  CHECK(absl::StrContains(notes, "95 events have names beyond the first 5"));
}

TEST_CASE("ends without begins, and what is no time, are told") {
  const auto unbalanced = import::ImportTraceEventsUntrusted(
      R"([{"ph":"E","pid":1,"tid":1,"ts":1},{"ph":"B","pid":1,"tid":1,"ts":2,"name":"a"},
          {"ph":"X","pid":1,"tid":1,"ts":3,"dur":1},{"ph":"B","pid":1,"tid":1,"ts":9,"name":"b"}])");
  REQUIRE(unbalanced.ok());
  CHECK(unbalanced->collected.events == 1);
  CHECK(absl::StrContains(unbalanced->collected.notes[0], "3 begins or ends"));
  for (const char* bad : {R"([{"ph":"X","ts":-1,"dur":1}])", R"([{"ph":"X","ts":1,"dur":-1}])",
                          R"([{"ph":"B","ts":5},{"ph":"E","ts":4}])", "[]", "{}", "null", "7", "[[[[",
                          R"({"traceEvents":{"ph":"X"}})"})
    CHECK_FALSE(import::ImportTraceEventsUntrusted(bad).ok());
}

TEST_CASE("gzip is unpacked, and refused where it is damaged or too large") {
  const std::string packed = Gzip(kTwoEvents);
  CHECK(formats::UnpackGzipUntrusted(packed + packed, 1 << 20).value() == std::string(kTwoEvents) + kTwoEvents);
  CHECK(formats::UnpackGzipUntrusted(packed.substr(0, packed.size() - 3), 1 << 20).status().code() ==
        absl::StatusCode::kDataLoss);
  std::string damaged = packed;
  damaged[damaged.size() / 2] ^= 0x40;
  CHECK_FALSE(formats::UnpackGzipUntrusted(damaged, 1 << 20).ok());
  CHECK(formats::UnpackGzipUntrusted(Gzip(std::string(1 << 20, 'x')), 1000).status().code() ==
        absl::StatusCode::kResourceExhausted);
  CHECK(formats::UnpackGzipHead(packed, 10) == std::string(kTwoEvents).substr(0, 10));
}

TEST_CASE("a pass says who measured it and where") {
  Sent sent;
  sent.Add("trace.json.gz", Gzip(kTwoEvents));
  const auto collected = sent.Collect();
  INFO(collected.status().ToString());
  REQUIRE(collected.ok());
  REQUIRE(collected->imported.has_value());
  CHECK(collected->imported->tool == "kineto");
  CHECK(collected->imported->measured_as.backend() == "kineto");
  CHECK(collected->imported->machine == "GPU X");
  Sent named;
  named.Set("machine", "my GPU");
  named.Add("trace.json", kTwoEvents);
  CHECK(named.Collect()->imported->machine == "my GPU");
}

TEST_CASE("files that do not fit together, or that nothing here reads, are refused by name") {
  Sent two;
  two.Add("a.json", kTwoEvents);
  two.Add("b.csv", "warp_id,region_id,instruction,count\n0,0,FADD,1\n");
  CHECK(absl::StrContains(two.Complaint(), "a.json is a trace of PyTorch's profiler, b.csv is a histogram"));
  Sent twice;
  twice.Add("a.json", kTwoEvents);
  twice.Add("b.json", kTwoEvents);
  CHECK(absl::StrContains(twice.Complaint(), "2 traces (a.json, b.json)"));
  Sent rocprof;
  rocprof.Add("k.csv", "Kind,Kernel_Name,Start_Timestamp\n");
  const absl::Status lacking = rocprof.Collect().status();
  CHECK(lacking.code() == absl::StatusCode::kUnimplemented);
  CHECK(absl::StrContains(lacking.message(), "exec:rocprof"));
  CHECK(absl::StrContains(RemedyOf(lacking), "--exec-backends"));
  Sent histograms;
  histograms.Add("a.csv", "warp_id,region_id,instruction,count\n0,0,FADD,1\n");
  histograms.Add("b.csv", "warp_id,region_id,instruction,count\n0,0,FADD,1\n");
  CHECK(absl::StrContains(histograms.Complaint(), "b.csv (a histogram of CUTracer) is the second of its kind"));
  CHECK(absl::StrContains(Sent().Complaint(), "there is no file"));
}

TEST_CASE("options are checked before anything is read") {
  Sent sent;
  sent.Add("trace.json", kTwoEvents);
  const ImportBackend backend({});
  const auto plan = backend.Prepare(sent.assignment);
  REQUIRE(plan.ok());
  CHECK(plan->imports);
  CHECK(plan->argv.empty());
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"kind", "x"}, {"path", ""}, {"path", "elsewhere"}, {"path", "imports/00"}, {"speed", "1"}}) {
    Sent bad;
    bad.Add("trace.json", kTwoEvents);
    bad.Set(name, value);
    CHECK(absl::StrContains(backend.Prepare(bad.assignment).status().message(), "options[\"" + name + "\"]"));
  }
}

}  // namespace
}  // namespace sextant::backends

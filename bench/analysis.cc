// How long the answers about a job with many passes and events take, and what memory.
//
//   bench_analysis [--events N] [--passes N] [--queries N] [--no-peers]
//
// report_s       GetReport of a job of 20 passes that recorded regions inside a kernel (10^7 instances in all,
//                5 warps of 132 CTAs, each with its waits and signals) and 3 clean ones, through gRPC: the
//                first time, nothing cached, nothing merged; with the critical path among its sections
// peak_mb        the most memory the coordinator had while it answered everything here (its private
//                PostgreSQL apart)
// timeline_ms_p95  GetTimeline from the rollups, without instances
// compare_s      CompareJobs of it and another such job, the first time; each pass also left 2,000 noisy counters
// pandas_s, duckdb_s  the region statistics of that report (count, sum, P20, P50, P80 by role and region) by
//                pandas and by DuckDB over the same instances as a Parquet file
#include <dirent.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <fstream>

#include <CLI/CLI.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/fake_worker.h"
#include "bench/service.h"
#include "bench/synthetic_gemm.h"
#include "proto/chunk/chunk.h"
#include "proto/table/table.h"

namespace sextant::bench {
namespace {

constexpr int kCleanPasses = 3;
constexpr int kCounters = 2000;   // of each pass that records regions
constexpr char kKernel[] = "gemm_ws(const half*, const half*, half*, int)";
constexpr char kMachine[] = "gpu:bench:0:default";
constexpr uint32_t kLaunches = 4;

v1::WorkerInfo Measures(int devices) {
  v1::WorkerInfo info;
  info.set_name("fake");
  info.set_machine_class("bench");
  for (int i = 0; i < devices; ++i) {
    auto* device = info.add_devices();
    device->set_name(absl::StrCat("gpu", i));
    device->set_kind("gpu");
    device->set_machine_class(kMachine);
  }
  for (const char* name : {"scopes", "activity"}) {
    auto* backend = info.add_backends();
    backend->set_name(name);
    backend->set_available(true);
    backend->set_device_kind("gpu");
  }
  return info;
}

v1::TraceReceipt UploadTrace(Service& service, const v1::PassRef& pass, SyntheticGemm* source) {
  auto workers = v1::Workers::NewStub(service.NewChannel());
  grpc::ClientContext context;
  v1::TraceReceipt receipt;
  auto writer = workers->UploadTrace(&context, &receipt);
  auto encoder = Check(chunk::Encoder::Create(
      source->Info(), [&](chunk::EncodedChunk chunk) -> absl::Status {
        v1::TraceUpload message;
        if (chunk.sequence == 0) *message.mutable_pass() = pass;
        message.set_chunk(std::move(chunk.bytes));
        message.set_digest(std::move(chunk.digest));
        return writer->Write(message) ? absl::OkStatus() : absl::InternalError("UploadTrace ended");
      }));
  for (uint32_t launch = 0; launch < source->launches(); ++launch) Check(encoder->Add(source->Launch(launch)));
  Check(encoder->Finish());
  writer->WritesDone();
  Must(writer->Finish(), "UploadTrace");
  return receipt;
}

// Noisy counters, each of its own: rows of a comparison.
v1::DataTable Counters(uint64_t seed) {
  table::Builder builder("counters");
  const auto launch = builder.Int("launch");
  const auto kernel = builder.Text("kernel"), metric = builder.Text("metric"), unit = builder.Text("unit");
  const auto value = builder.Number("value");
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (int i = 0; i < kCounters; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    builder.Set(launch, -1);
    builder.Set(kernel, kKernel);
    builder.Set(metric, absl::StrCat("bench__counter_", i, ".sum"));
    builder.Set(unit, "events");
    builder.Set(value, 1000.0 * (i + 1) * (0.9 + 0.2 * static_cast<double>(state >> 40) * 0x1p-24));
    builder.EndRow();
  }
  return builder.Finish();
}

void AddTable(Service& service, const v1::DataTable& table, v1::PassResult* result) {
  const std::string bytes = table::Encode(table);
  v1::Artifact* artifact = result->add_artifacts();
  artifact->set_name(absl::StrCat(table.name(), ".table"));
  artifact->set_kind(table::kArtifactKind);
  artifact->set_digest(chunk::Digest(bytes));
  artifact->set_size_bytes(bytes.size());
  grpc::ClientContext context;
  v1::UploadBlobsResponse response;
  auto writer = service.client().UploadBlobs(&context, &response);
  constexpr size_t kPiece = 1 << 20;
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    v1::UploadBlobsRequest message;
    if (at == 0) {
      message.set_digest(artifact->digest());
      message.set_size_bytes(bytes.size());
      message.set_submitter("bench");
    }
    message.set_data(bytes.substr(at, kPiece));
    message.set_last(at + kPiece >= bytes.size());
    writer->Write(message);
  }
  writer->WritesDone();
  Must(writer->Finish(), "UploadBlobs");
}

// A job of `passes` passes of scopes and three clean ones; its id and how many instances it holds.
std::pair<int64_t, uint64_t> MakeJob(Service& service, const std::string& name, int passes, uint64_t events,
                                     double slower) {
  auto stub = v1::Workers::NewStub(service.NewChannel());
  FakeWorker worker(stub.get(), Measures(passes + kCleanPasses));
  v1::SubmitJobRequest request;
  request.set_request_id(name);
  request.mutable_graph()->set_salt(name);
  auto* task = request.mutable_graph()->add_tasks();
  task->set_name("profile");
  task->mutable_profile()->mutable_workload()->add_argv("synthetic");
  auto* clean = task->mutable_profile()->add_passes();
  clean->set_backend("activity");
  (*clean->mutable_options())["light"] = "1";
  clean->set_repeat(kCleanPasses);
  auto* scopes = task->mutable_profile()->add_passes();
  scopes->set_backend("scopes");
  scopes->set_repeat(passes);
  v1::SubmitJobResponse accepted;
  {
    grpc::ClientContext context;
    Must(service.client().SubmitJob(&context, request, &accepted), "SubmitJob");
  }
  uint64_t total = 0, seed = slower > 0 ? 1000 : 0;
  for (const v1::Assignment& assignment : worker.WaitGiven(passes + kCleanPasses)) {
    const bool traced = assignment.spec().backend() == "scopes";
    SyntheticGemm source(++seed, events / passes, kLaunches, slower);
    v1::CommitPassesRequest commits;
    commits.set_worker("fake");
    auto* commit = commits.add_commits();
    *commit->mutable_pass() = assignment.pass();
    auto* result = commit->mutable_result();
    result->mutable_exit()->set_verdict(v1::EXITED);
    v1::Provenance* provenance = result->mutable_provenance();
    provenance->set_machine_class(kMachine);
    provenance->set_backend(assignment.spec().backend());
    (*provenance->mutable_extra())["gpu"] = "NVIDIA H200";
    if (traced) {
      source.KeepBarriers();
      const v1::TraceReceipt receipt = UploadTrace(service, assignment.pass(), &source);
      result->set_trace_digest(receipt.trace_digest());
      result->set_events(receipt.events());
      total += receipt.events();
      provenance->set_clock_hz(1e9 / SyntheticGemm::kNsPerCycle);
      AddTable(service, Counters(seed), result);
      AddTable(service, source.Barriers(), result);
    } else {
      for (uint32_t launch = 0; launch < kLaunches; ++launch) source.Launch(launch);   // how long they take
    }
    AddTable(service, source.Launches(), result);
    grpc::ClientContext context;
    v1::CommitPassesResponse response;
    Must(stub->CommitPasses(&context, commits, &response), "CommitPasses");
    if (response.outcomes(0).outcome() != v1::COMMITTED)
      Check(absl::InternalError(absl::StrCat("commit: ", response.outcomes(0).message())));
  }
  worker.End();
  return {accepted.job_id(), total};
}

// The coordinator, by its name, among our children.
pid_t Coordinator() {
  DIR* const proc = opendir("/proc");
  pid_t found = 0;
  for (dirent* entry = readdir(proc); entry != nullptr; entry = readdir(proc)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid)) continue;
    std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
    std::string stat;
    std::getline(file, stat);
    const size_t name_end = stat.rfind(") ");
    if (name_end == std::string::npos || stat.find("(sextantd") == std::string::npos) continue;
    const std::vector<std::string> rest = absl::StrSplit(stat.substr(name_end + 2), ' ');
    if (rest.size() > 1 && rest[1] == absl::StrCat(getpid())) found = pid;
  }
  closedir(proc);
  if (found == 0) Check(absl::InternalError("the coordinator is not among our children"));
  return found;
}

// Of all its threads, so far.
double CpuS(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string stat;
  std::getline(file, stat);
  const std::vector<std::string> rest = absl::StrSplit(stat.substr(stat.rfind(") ") + 2), ' ');
  double user = 0, system = 0;
  if (rest.size() < 13 || !absl::SimpleAtod(rest[11], &user) || !absl::SimpleAtod(rest[12], &system)) return NAN;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double PeakMb(pid_t pid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  return NAN;
}

// From now on.
void ForgetPeak(pid_t pid) { std::ofstream(absl::StrCat("/proc/", pid, "/clear_refs")) << "5"; }

template <typename Request, typename Response>
double Time(Service& service, const Request& request, Response* response,
            grpc::Status (v1::Sextant::Stub::*call)(grpc::ClientContext*, const Request&, Response*), const char* what) {
  grpc::ClientContext context;
  const double begin = NowS();
  Must((service.client().*call)(&context, request, response), what);
  return NowS() - begin;
}

// "pandas_s duckdb_s" of the peers over the instances of the job.
std::pair<double, double> Peers(Service& service, int passes, uint64_t events) {
  const std::string out = service.directory() + "/peers.txt";
  const std::string command =
      absl::StrCat("bench/peers/region_statistics.sh '", service.directory(), "' >", out);
  FILE* pipe = popen(command.c_str(), "w");
  if (pipe == nullptr) Check(absl::InternalError(absl::StrCat("cannot start ", command)));
  std::string text;
  for (int pass = 0; pass < passes; ++pass) {
    SyntheticGemm source(pass + 1, events / passes, kLaunches);
    for (uint32_t launch = 0; launch < kLaunches; ++launch) {
      const auto instances = source.Launch(launch);
      text.resize(instances.size() * 40);
      char* at = text.data();
      const auto put = [&](uint64_t value, char end) {
        at = std::to_chars(at, at + 20, value).ptr;
        *at++ = end;
      };
      for (const chunk::Instance& e : instances) {
        put(pass, ',');
        put(e.track % (1 + SyntheticGemm::kConsumers) == 0 ? 0 : 1, ',');
        put(e.region, ',');
        put(e.duration, '\n');
      }
      if (fwrite(text.data(), 1, at - text.data(), pipe) != static_cast<size_t>(at - text.data())) break;
    }
  }
  if (pclose(pipe) != 0) Check(absl::InternalError(absl::StrCat("failed: ", command)));
  FILE* file = std::fopen(out.c_str(), "r");
  double pandas = NAN, duckdb = NAN;
  if (file == nullptr || std::fscanf(file, "%lf %lf", &pandas, &duckdb) != 2)
    Check(absl::InternalError("the peers gave no times"));
  std::fclose(file);
  return {pandas, duckdb};
}

void Run(uint64_t events, int passes, int queries, bool peers) {
  // The worker that is only a stream does not renew its lease.
  Service service({"--limit", "worker_lease_s=3600"});
  const auto [job, total] = MakeJob(service, "before", passes, events, 0);
  const auto [other, other_total] = MakeJob(service, "after", passes, events, 0.05);
  std::printf("%d passes with %llu instances, and a second such job\n", passes, static_cast<unsigned long long>(total));
  const pid_t coordinator = Coordinator();
  double before = CpuS(coordinator);
  std::printf("%-52s %11s %s\n", "", "time", "  of the coordinator's CPUs");
  const auto row = [&](const char* what, double seconds) {
    const double now = CpuS(coordinator);
    std::printf("%-52s %9.3f s %9.2f s\n", what, seconds, now - before);
    std::fflush(stdout);
    before = now;
  };
  ForgetPeak(coordinator);
  Figures figures;

  v1::GetReportRequest report_request;
  report_request.set_job_id(job);
  v1::Report report;
  const double report_s = Time(service, report_request, &report, &v1::Sextant::Stub::GetReport, "GetReport");
  row("GetReport, the first time", report_s);
  figures.Add("report_s", report_s);
  bool path = false;
  for (const auto& section : report.sections()) path |= section.name() == "critical-path" && section.tables_size() > 2;
  if (!path) Check(absl::InternalError("the report has no critical path"));
  row("GetReport, again", Time(service, report_request, &report, &v1::Sextant::Stub::GetReport, "GetReport"));

  v1::GetTimelineRequest rollups;
  rollups.set_job_id(job);
  rollups.set_without_instances(true);
  std::vector<double> ms;
  for (int i = 0; i < queries; ++i) {
    v1::Timeline timeline;
    ms.push_back(1e3 * Time(service, rollups, &timeline, &v1::Sextant::Stub::GetTimeline, "GetTimeline"));
    uint64_t counted = 0;
    for (const auto& region : timeline.regions()) counted += region.count();
    if (counted != total)
      Check(absl::InternalError(absl::StrCat("the timeline counts ", counted, " of ", total, " instances")));
  }
  row("GetTimeline from rollups, P95", Quantile(ms, 0.95) / 1e3);

  // The other job: nothing of it was read.
  v1::GetTimelineRequest whole;
  whole.set_job_id(other);
  whole.set_fold_loops(true);
  whole.set_overlaps(true);
  whole.set_max_instances(200);
  v1::Timeline timeline;
  row("GetTimeline: instances, loops, overlaps; first",
      Time(service, whole, &timeline, &v1::Sextant::Stub::GetTimeline, "GetTimeline"));
  if (timeline.loops().empty() || timeline.overlaps().empty() || timeline.passes() != static_cast<uint32_t>(passes))
    Check(absl::InternalError("the timeline lacks loops or overlaps, or joins too few passes"));
  v1::GetVariationRequest variation_request;
  variation_request.mutable_subject()->set_job_id(other);
  v1::Variation variation;
  row("GetVariation, traces read before",
      Time(service, variation_request, &variation, &v1::Sextant::Stub::GetVariation, "GetVariation"));
  v1::GetOccupancyRequest occupancy_request;
  occupancy_request.mutable_subject()->set_job_id(other);
  occupancy_request.set_all_launches(true);
  v1::OccupancyOverTime occupancy;
  row("GetOccupancy, traces read before",
      Time(service, occupancy_request, &occupancy, &v1::Sextant::Stub::GetOccupancy, "GetOccupancy"));
  if (variation.regions().empty() || occupancy.ctas_seen() != SyntheticGemm::kCtas)
    Check(absl::InternalError("variation or occupancy is empty"));

  v1::GetCriticalPathRequest path_request;
  path_request.mutable_subject()->set_job_id(other);
  v1::CriticalPath longest;
  row("GetCriticalPath, traces read before",
      Time(service, path_request, &longest, &v1::Sextant::Stub::GetCriticalPath, "GetCriticalPath"));
  if (longest.paths().empty() || longest.edges().empty()) Check(absl::InternalError("no critical path"));

  v1::CompareJobsRequest compare_request;
  compare_request.set_job_a(job);
  compare_request.set_job_b(other);
  v1::Comparison comparison;
  const double compare_s = Time(service, compare_request, &comparison, &v1::Sextant::Stub::CompareJobs, "CompareJobs");
  row("CompareJobs, the first time", compare_s);
  const double peak_mb = PeakMb(coordinator);
  std::printf("%-52s %9.0f MB\n", "most memory of the coordinator meanwhile", peak_mb);
  figures.Add("peak_mb", peak_mb);
  figures.Add("timeline_ms_p95", Quantile(ms, 0.95));
  figures.Add("compare_s", compare_s);
  if (peers) {
    const auto [pandas_s, duckdb_s] = Peers(service, passes, events);
    row("pandas: region statistics alone, from Parquet", pandas_s);
    row("DuckDB: region statistics alone, from Parquet", duckdb_s);
    figures.Add("pandas_s", pandas_s);
    figures.Add("duckdb_s", duckdb_s);
  }
  figures.Add("events", static_cast<double>(total));
  figures.Print("analysis");
}

}  // namespace
}  // namespace sextant::bench

int main(int argc, char** argv) {
  CLI::App app("How long the answers about a job with many passes and events take");
  uint64_t events = 10'000'000;
  int passes = 20, queries = 100;
  bool no_peers = false;
  app.add_option("--events", events, "of each of the two jobs")->check(CLI::Range(100'000, 1'000'000'000));
  app.add_option("--passes", passes, "of each job, that record regions")->check(CLI::Range(3, 1000));
  app.add_option("--queries", queries, "of which the quantile is taken")->check(CLI::Range(1, 100000));
  app.add_flag("--no-peers", no_peers, "neither pandas nor DuckDB");
  CLI11_PARSE(app, argc, argv);
  sextant::bench::Run(events, passes, queries, !no_peers);
  return 0;
}

#include "workers/backends/cutracer/cutracer_backend.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "workers/backends/cutracer/traces.h"
#include "workers/backends/formats/kernel_name.h"
#include "workers/backends/formats/tool_version.h"
#include "workers/backends/result_file.h"

namespace sextant::backends {
namespace {
namespace fs = std::filesystem;

constexpr char kTool[] = "cutracer";
constexpr char kInside[] = "/sextant/cutracer";
constexpr size_t kMaxFiles = 10'000;
constexpr uint64_t kMaxFileBytes = 1ull << 30;
constexpr uint64_t kThreadsOfWarp = 32;

struct Options {
  bool histogram = true;
  std::vector<std::string> filter;
  uint32_t trace_mib = 256;
};

absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec) {
  Options options;
  for (const auto& [name, value] : spec.options()) {
    if (name == "mode") {
      if (value != "histogram" && value != "opcodes") {
        return absl::InvalidArgumentError(
            absl::StrCat("options[\"mode\"]: \"", value, "\" is neither histogram nor opcodes"));
      }
      options.histogram = value == "histogram";
    } else if (name == "filter") {
      options.filter = absl::StrSplit(value, '+', absl::SkipEmpty());
      if (options.filter.empty() || absl::StrContains(value, ",")) {
        return absl::InvalidArgumentError(
            "options[\"filter\"]: must be parts of kernel names, without commas, joined by +");
      }
    } else if (name == "trace_mib") {
      if (!absl::SimpleAtoi(value, &options.trace_mib) || options.trace_mib == 0 ||
          options.trace_mib > 1024) {
        return absl::InvalidArgumentError(absl::StrCat("options[\"trace_mib\"]: \"", value,
                                                       "\" is no number between 1 and 1024"));
      }
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "options[\"", name,
          "\"]: backend \"cutracer\" has no such option; it has mode, filter, trace_mib"));
    }
  }
  return options;
}

absl::StatusOr<fs::path> FindLibrary(const Site& site) {
  const auto named = site.tools.find(kTool);
  if (named == site.tools.end()) {
    return absl::NotFoundError(
        "this site has no CUTracer; build it, and tell the worker where it is (--tool "
        "cutracer=PATH of "
        "cutracer.so)");
  }
  std::error_code error;
  for (const fs::path& place :
       {fs::path(named->second), fs::path(named->second) / "lib/cutracer.so",
        fs::path(named->second) / "cutracer.so"}) {
    if (fs::is_regular_file(place, error)) return fs::canonical(place, error);
  }
  return absl::NotFoundError(absl::StrCat("the site's tool cutracer=", named->second,
                                          " is neither cutracer.so nor a directory that holds it"));
}

// One launch's files.
struct Launch {
  cutracer::FileName name;
  std::string histogram, trace;  // file names
};

// The table `instructions`. Where the trace beside a histogram tells how many warps a CTA has,
// warps are counted within it; else `cta` is −1 and `warp` counts over the grid.
class InstructionTable {
 public:
  InstructionTable()
      : table_("instructions"),
        kernel_(table_.Text("kernel")),
        checksum_(table_.Text("checksum")),
        launch_(table_.Int("launch")),
        cta_(table_.Int("cta")),
        warp_(table_.Int("warp")),
        region_(table_.Text("region")),
        ordinal_(table_.Int("ordinal")),
        opcode_(table_.Text("opcode")),
        count_(table_.Int("count")) {}

  void Add(const Launch& launch, const cutracer::Trace& trace,
           const std::vector<cutracer::HistogramRow>& rows) {
    const std::string kernel =
        formats::Demangle(trace.mangled.empty() ? launch.name.kernel : trace.mangled);
    const uint64_t warps = (trace.threads + kThreadsOfWarp - 1) / kThreadsOfWarp;
    for (const cutracer::HistogramRow& row : rows) {
      table_.Set(kernel_, kernel);
      table_.Set(checksum_, launch.name.checksum);
      table_.Set(launch_, launch.name.iteration);
      table_.Set(cta_, warps == 0 ? -1 : static_cast<int64_t>(row.warp / warps));
      table_.Set(warp_, static_cast<int64_t>(warps == 0 ? row.warp : row.warp % warps));
      table_.Set(ordinal_, static_cast<int64_t>(row.region));
      table_.Set(opcode_, row.opcode);
      table_.Set(count_, static_cast<int64_t>(row.count));
      table_.EndRow();
    }
  }
  uint64_t rows() const { return table_.rows(); }
  uint64_t dropped_rows() const { return table_.dropped_rows(); }
  v1::DataTable Finish() { return table_.Finish(); }

 private:
  table::Builder table_;
  table::Builder::TextColumn kernel_, checksum_;
  table::Builder::IntColumn launch_, cta_, warp_;
  table::Builder::TextColumn region_;
  table::Builder::IntColumn ordinal_;
  table::Builder::TextColumn opcode_;
  table::Builder::IntColumn count_;
};

// The table `sass_metrics`: executions of each instruction of each launch, by warps.
class OpcodeTable {
 public:
  OpcodeTable()
      : table_("sass_metrics"),
        kernel_(table_.Text("kernel")),
        checksum_(table_.Text("checksum")),
        launch_(table_.Int("launch")),
        pc_(table_.Int("pc", "bytes")),
        opcode_(table_.Text("opcode")),
        executed_(table_.Int("executed")) {}

  void Add(const Launch& launch, const cutracer::Trace& trace) {
    const std::string kernel =
        formats::Demangle(trace.mangled.empty() ? launch.name.kernel : trace.mangled);
    for (const auto& [pc, executed] : trace.by_pc) {
      table_.Set(kernel_, kernel);
      table_.Set(checksum_, launch.name.checksum);
      table_.Set(launch_, launch.name.iteration);
      table_.Set(pc_, static_cast<int64_t>(pc));
      table_.Set(opcode_, cutracer::OpcodeOf(executed.sass));
      table_.Set(executed_, static_cast<int64_t>(executed.count));
      table_.EndRow();
    }
  }
  uint64_t rows() const { return table_.rows(); }
  v1::DataTable Finish() { return table_.Finish(); }

 private:
  table::Builder table_;
  table::Builder::TextColumn kernel_, checksum_;
  table::Builder::IntColumn launch_, pc_;
  table::Builder::TextColumn opcode_;
  table::Builder::IntColumn executed_;
};

std::vector<Launch> LaunchesOf(const std::vector<std::string>& files) {
  std::map<std::tuple<std::string, uint32_t, std::string>, Launch> launches;
  for (const std::string& file : files) {
    cutracer::FileName name;
    if (!cutracer::ParseFileName(file, &name)) continue;
    Launch& launch = launches[{name.checksum, name.iteration, name.kernel}];
    launch.name = name;
    (absl::EndsWith(file, "_hist.csv") ? launch.histogram : launch.trace) = file;
  }
  std::vector<Launch> sorted;
  for (auto& [key, launch] : launches) sorted.push_back(std::move(launch));
  return sorted;
}

}  // namespace

CutracerBackend::CutracerBackend(const Site& site) : library_(FindLibrary(site)) {}

std::string CutracerBackend::Name() const { return kTool; }

v1::BackendOffer CutracerBackend::Probe() const {
  v1::BackendOffer offer;
  offer.set_name(Name());
  offer.set_device_kind("gpu");
  if (!library_.ok()) {
    offer.set_reason(std::string(library_.status().message()));
    return offer;
  }
  offer.set_available(true);
  offer.set_tool_digest(formats::ToolDigest("cutracer backend 1", *library_));
  for (const char* name : {"CUDA_INJECTION64_PATH", "NVTX_INJECTION64_PATH"}) {
    offer.add_features(absl::StrCat(kExcludesEnvironment, name));
  }
  return offer;
}

Proof CutracerBackend::HowToProve() const {
  Proof proof;
  proof.options["mode"] = "opcodes";
  return proof;
}

absl::StatusOr<LaunchPlan> CutracerBackend::Prepare(const v1::Assignment& assignment) const {
  RETURN_IF_ERROR(library_.status());
  const v1::Workload& workload = assignment.workload();
  if (workload.argv().empty()) {
    return absl::InvalidArgumentError("workload.argv: is empty; name the program to run");
  }
  const std::string program = fs::path(workload.argv(0)).filename().string();
  if (program == "ncu" || program == "nsys" || program == "compute-sanitizer") {
    return absl::InvalidArgumentError(
        absl::StrCat("workload.argv: ", program,
                     " and CUTracer cannot be in one process; run the program itself"));
  }
  ASSIGN_OR_RETURN(const Options options, ParseOptions(assignment.spec()));
  LaunchPlan plan;
  plan.argv.assign(workload.argv().begin(), workload.argv().end());
  plan.env["CUDA_INJECTION64_PATH"] = absl::StrCat(kInside, "/", library_->filename().string());
  plan.env["CUTRACER_OUTPUT_DIR"] = "/results";
  plan.env["CUTRACER_TRACE_FORMAT"] = "2";  // NDJSON
  plan.env["CUTRACER_TRACE_SIZE_LIMIT_MB"] = absl::StrCat(options.trace_mib);
  plan.env["CUTRACER_CPU_CALLSTACK"] = "0";
  if (options.histogram) {
    plan.env["CUTRACER_ANALYSIS"] = "proton_instr_histogram";
  } else {
    plan.env["CUTRACER_INSTRUMENT"] = "opcode_only";
  }
  if (!options.filter.empty()) plan.env["KERNEL_FILTERS"] = absl::StrJoin(options.filter, ",");
  plan.mounts.push_back({library_->parent_path().string(), kInside, false});
  return plan;
}

absl::StatusOr<Collected> CutracerBackend::Collect(const RunRecord& run) const {
  ASSIGN_OR_RETURN(const Options options, ParseOptions(run.assignment->spec()));
  Collected collected;
  InstructionTable instructions;
  OpcodeTable opcodes;
  const auto note = [&collected](const std::string& file, absl::string_view what) {
    collected.notes.push_back(
        absl::StrCat("results file ", chunk::CleanName(file, 200), ": ", what));
  };
  for (const Launch& launch : LaunchesOf(ListResultFiles(run.results_dir, kMaxFiles))) {
    cutracer::Trace trace;
    if (!launch.trace.empty()) {
      const absl::StatusOr<std::string> text =
          ReadResultFile(run.results_dir / launch.trace, kMaxFileBytes);
      absl::StatusOr<cutracer::Trace> parsed = text.ok()
                                                   ? cutracer::ParseTraceUntrusted(*text)
                                                   : absl::StatusOr<cutracer::Trace>(text.status());
      if (parsed.ok()) {
        trace = *std::move(parsed);
        if (trace.bad_lines > 0)
          note(launch.trace, absl::StrCat(trace.bad_lines, " lines are no records"));
      } else {
        note(launch.trace, parsed.status().message());
      }
    }
    if (!options.histogram) {
      opcodes.Add(launch, trace);
      continue;
    }
    if (launch.histogram.empty()) continue;
    const absl::StatusOr<std::string> text =
        ReadResultFile(run.results_dir / launch.histogram, kMaxFileBytes);
    const auto rows = text.ok()
                          ? cutracer::ParseHistogramUntrusted(*text)
                          : absl::StatusOr<std::vector<cutracer::HistogramRow>>(text.status());
    if (rows.ok()) {
      instructions.Add(launch, trace, *rows);
    } else {
      note(launch.histogram, rows.status().message());
    }
  }
  if ((options.histogram ? instructions.rows() : opcodes.rows()) == 0) {
    return WithRemedy(
        absl::FailedPreconditionError(absl::StrCat("CUTracer recorded nothing",
                                                   collected.notes.empty() ? "" : ": ",
                                                   absl::StrJoin(collected.notes, "; "))),
        options.histogram
            ? "a histogram counts between clock reads: use it with a program that has scopes, and "
              "check filter"
            : "check filter, and that the program reached its kernels (`sextant logs`)");
  }
  if (instructions.dropped_rows() > 0) {
    collected.notes.push_back(absl::StrCat("the table instructions is full; ",
                                           instructions.dropped_rows(),
                                           " rows were left out; set filter"));
  }
  collected.tables.push_back(options.histogram ? instructions.Finish() : opcodes.Finish());
  return collected;
}

}  // namespace sextant::backends

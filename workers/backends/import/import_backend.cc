#include "workers/backends/import/import_backend.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/include/sextant/detail/format.h"
#include "client/include/sextant/detail/scopes_format.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "proto/table/table.h"
#include "workers/backends/import/layout.h"
#include "workers/backends/import/trace_events_importer.h"

namespace sextant::backends {
namespace {
namespace fs = std::filesystem;

constexpr char kPath[] = "path";
constexpr size_t kMaxMachineBytes = 200;
constexpr double kNoRate = 1e-6;

struct Options {
  std::string path, kind, machine;
  import::BufferNames names;
};

absl::StatusOr<Options> ParseOptions(const v1::PassSpec& spec) {
  Options options;
  for (const auto& [name, value] : spec.options()) {
    if (name == kPath) {
      options.path = value;
    } else if (name == "kind") {
      const std::vector<std::string> tools = absl::StrSplit(import::kTools, ", ");
      if (std::find(tools.begin(), tools.end(), value) == tools.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat("options[\"kind\"]: \"", value, "\" is none of ", import::kTools));
      }
      options.kind = value;
    } else if (name == "machine") {
      options.machine = chunk::CleanName(value, kMaxMachineBytes);
    } else if (name == "kernel") {
      options.names.kernel = value;
    } else if (name == "scopes") {
      options.names.scopes = absl::StrSplit(value, '+');
      if (options.names.scopes.size() > 256) {
        return absl::InvalidArgumentError("options[\"scopes\"]: more than 256 names; scope ids are 8 bits");
      }
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("options[\"", name,
                       "\"]: backend \"import\" has no such option; it has path, kind, machine, kernel, scopes"));
    }
  }
  if (options.path.empty()) {
    return absl::InvalidArgumentError("options[\"path\"]: is missing; `sextant import FILE…` sets it");
  }
  return options;
}

// Paths of the workload's files that the pass is about: the one named, or those in the folder named.
std::vector<std::string> FilesOf(const v1::Assignment& assignment, const std::string& path) {
  std::vector<std::string> files;
  for (const v1::File& file : assignment.workload().files()) {
    if (file.path() == path || absl::StartsWith(file.path(), absl::StrCat(path, "/"))) {
      files.push_back(file.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The first bytes of a file as a header that our recorders write; absent: it is shorter.
template <typename Header>
std::optional<Header> HeaderOf(const fs::path& path) {
  Header header;
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  const ssize_t got = fd < 0 ? -1 : pread(fd, &header, sizeof header, 0);
  if (fd >= 0) close(fd);
  if (got != static_cast<ssize_t>(sizeof header)) return std::nullopt;
  return header;
}

// When the pass began by CLOCK_MONOTONIC of the machine that recorded: when the first recorder did.
uint64_t BeganNs(const std::vector<import::Input>& inputs) {
  uint64_t began = std::numeric_limits<uint64_t>::max();
  for (const import::Input& input : inputs) {
    if (input.kind == import::Kind::kScopes) {
      if (const auto header = HeaderOf<sextant_scopes_file>(input.path)) {
        began = std::min(began, header->started_ns);
      }
    } else if (input.kind == import::Kind::kHost) {
      const auto header = HeaderOf<sextant_process_file>(input.path);
      if (header.has_value() && std::memcmp(header->magic, SEXTANT_PROCESS_MAGIC, 7) == 0) {
        began = std::min(began, header->first_ns);
      }
    }
  }
  return began == std::numeric_limits<uint64_t>::max() ? 0 : began;
}

// How fast the counter of the machine that recorded ticked, as far as its files tell. Where they do not it is
// no rate at all: this machine's would be another's.
double CounterHz(const std::vector<import::Input>& inputs) {
  for (const import::Input& input : inputs) {
    const auto header = HeaderOf<sextant_process_file>(input.path);
    if (!header.has_value() || std::memcmp(header->magic, SEXTANT_PROCESS_MAGIC, 7) != 0) continue;
    if (header->last_ns <= header->first_ns || header->last_ticks <= header->first_ticks) continue;
    return static_cast<double>(header->last_ticks - header->first_ticks) * 1e9 /
           static_cast<double>(header->last_ns - header->first_ns);
  }
  return kNoRate;
}

std::string DeviceOfScopes(const std::vector<import::Input>& inputs) {
  for (const import::Input& input : inputs) {
    if (input.kind != import::Kind::kScopes) continue;
    const auto header = HeaderOf<sextant_scopes_file>(input.path);
    if (!header.has_value()) continue;
    return chunk::CleanName(
        {header->device_name, strnlen(header->device_name, sizeof header->device_name)}, kMaxMachineBytes);
  }
  return "";
}

// The GPU's name among ncu's metrics.
std::string DeviceOfNcu(const Collected& collected) {
  for (const v1::DataTable& table : collected.tables) {
    const v1::DataColumn* metric = table::Find(table, "metric");
    const v1::DataColumn* text = table::Find(table, "text");
    if (table.name() != "ncu" || metric == nullptr || text == nullptr) continue;
    for (uint64_t row = 0; row < table.rows(); ++row) {
      if (table::TextAt(*metric, row) == "device__attribute_display_name") {
        return std::string(table::TextAt(*text, row));
      }
    }
  }
  return "";
}

}  // namespace

std::string ImportBackend::Name() const { return "import"; }

v1::BackendOffer ImportBackend::Probe() const {
  v1::BackendOffer offer;
  offer.set_name(Name());
  offer.set_available(true);
  // There is no tool: the number is that of what is made of files.
  offer.set_tool_digest("01");
  return offer;
}

absl::StatusOr<LaunchPlan> ImportBackend::Prepare(const v1::Assignment& assignment) const {
  ASSIGN_OR_RETURN(const Options options, ParseOptions(assignment.spec()));
  if (FilesOf(assignment, options.path).empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("options[\"path\"]: \"", options.path, "\" is no file of the workload, and no folder with any"));
  }
  LaunchPlan plan;
  plan.imports = true;
  return plan;
}

absl::StatusOr<Collected> ImportBackend::CollectBy(const v1::PassSpec& spec, const RunRecord& run) const {
  for (const Backend* collector : collectors_) {
    if (collector->Name() == spec.backend()) return collector->Collect(run);
  }
  return WithRemedy(
      absl::UnimplementedError(absl::StrCat("this worker has no backend \"", spec.backend(), "\", which reads these files")),
      absl::StartsWith(spec.backend(), "exec:")
          ? "start the worker with --exec-backends and the folder that holds it (examples/backends)"
          : "`sextant doctor` lists a worker's backends");
}

absl::StatusOr<Collected> ImportBackend::Collect(const RunRecord& run) const {
  absl::StatusOr<Collected> collected = Read(run);
  if (collected.ok() || !RemedyOf(collected.status()).empty()) return collected;
  return WithRemedy(collected.status(), "check the file; docs/formats.md says what can be imported, and how");
}

absl::StatusOr<Collected> ImportBackend::Read(const RunRecord& run) const {
  ASSIGN_OR_RETURN(const Options options, ParseOptions(run.assignment->spec()));
  std::vector<fs::path> files;
  for (const std::string& file : FilesOf(*run.assignment, options.path)) files.push_back(run.work_dir / file);
  std::vector<std::string> notes;
  ASSIGN_OR_RETURN(const std::vector<import::Input> inputs,
                   import::Recognise(files, options.kind, &notes));
  Imported imported;
  imported.tool = import::ToolOf(inputs[0].kind);
  std::string device = DeviceOfScopes(inputs);
  RunRecord left = run;
  left.started_monotonic_ns = BeganNs(inputs);
  left.recorded_clock_hz = CounterHz(inputs);
  ASSIGN_OR_RETURN(imported.measured_as, import::LayOut(inputs, options.names, run.results_dir));

  Collected collected;
  if (imported.measured_as.backend() == imported.tool && (imported.tool == "kineto" || imported.tool == "chrome")) {
    ASSIGN_OR_RETURN(const std::string text, import::ReadInput(inputs[0]));
    ASSIGN_OR_RETURN(import::TraceEventsImport events, import::ImportTraceEventsUntrusted(text), inputs[0].name);
    collected = std::move(events.collected);
    device = std::move(events.device);
    imported.started_unix_ns = events.started_unix_ns;
  } else {
    v1::Assignment assignment = *run.assignment;
    *assignment.mutable_spec() = imported.measured_as;
    left.assignment = &assignment;
    ASSIGN_OR_RETURN(collected, CollectBy(imported.measured_as, left));
    if (imported.tool == "ncu") device = DeviceOfNcu(collected);
  }
  imported.machine = !options.machine.empty() ? options.machine : chunk::CleanName(device, kMaxMachineBytes);
  if (imported.machine.empty()) {
    notes.push_back("the files do not say on which machine they were measured; --machine NAME does");
  }
  collected.imported = std::move(imported);
  collected.notes.insert(collected.notes.begin(), notes.begin(), notes.end());
  return collected;
}

}  // namespace sextant::backends

#include "workers/backends/host/host_backend.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/include/sextant/detail/format.h"
#include "proto/chunk/encoder.h"
#include "proto/status/status.h"
#include "workers/backends/host/options.h"
#include "workers/backends/host/results.h"

namespace sextant::backends {
namespace {

// 0, or the errno with which this process may not count cycles of itself.
int ProbePerfHardware() {
  perf_event_attr attr = {};
  attr.size = sizeof(attr);
  attr.type = PERF_TYPE_HARDWARE;
  attr.config = PERF_COUNT_HW_CPU_CYCLES;
  attr.exclude_kernel = 1;
  attr.exclude_hv = 1;
  const long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) return errno;
  close(static_cast<int>(fd));
  return 0;
}

bool IsHardware(const std::string& counter) {
  return counter != "task-clock" && counter != "page-faults" && counter != "context-switches";
}

// Buffers are files: they must be allowed to be that large. Without a wish they become as large as
// they may.
absl::Status FitFiles(const v1::ResourceLimits& limits, host::Options* options) {
  const uint64_t records = options->records > 0 ? options->records : SEXTANT_DEFAULT_RECORDS;
  const uint64_t needed = SEXTANT_HEADER_BYTES + records * sizeof(uint64_t);
  if (limits.file_bytes() == 0 || limits.file_bytes() >= needed) return absl::OkStatus();
  const uint64_t page = SEXTANT_PAGE_RECORDS * sizeof(uint64_t);
  const uint64_t pages = limits.file_bytes() / page;  // one of them is the header
  // The file of names has a fixed size, and its last page is spare.
  if (pages < 2 || limits.file_bytes() < SEXTANT_HEADER_BYTES * 2 + SEXTANT_NAMES_BYTES) {
    return absl::InvalidArgumentError(
        absl::StrCat("limits.file_bytes: ", limits.file_bytes(),
                     " are too few to record; backend \"host\" needs ",
                     SEXTANT_HEADER_BYTES * 2 + SEXTANT_NAMES_BYTES));
  }
  if (options->records > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("options[\"records\"]: ", records, " records a thread need files of ", needed,
                     " bytes, limits.file_bytes allows ", limits.file_bytes(),
                     "; set a smaller records or a larger limit"));
  }
  options->records = static_cast<uint32_t>((pages - 1) * SEXTANT_PAGE_RECORDS);
  return absl::OkStatus();
}

// Why there is no scope in what was left, in words for one who meets this the first time.
absl::Status EmptyCapture(const RunRecord& run, const host::Imported& imported) {
  std::string why;
  if (run.exit.verdict() == v1::NOT_STARTED) {
    why = absl::StrCat("the program was not started: ", run.exit.detail());
  } else if (imported.processes == 0) {
    why =
        "no process of the program recorded: it does not include sextant/scope.h, or was compiled "
        "with SEXTANT_DISABLE, or clears its environment. Put SEXTANT_SCOPE(\"name\") into the "
        "functions that matter and build with -I client/include, or use the backend \"run\"";
  } else if (imported.open_scopes > 0) {
    why = absl::StrCat("scopes were begun but none ended before the process did (",
                       imported.open_scopes,
                       " were open). Put scopes around shorter pieces of work, "
                       "or let the program end by itself");
  } else {
    why = absl::StrCat("the program includes sextant/scope.h, but no thread of its ",
                       imported.processes, imported.processes == 1 ? " process" : " processes",
                       " came through a SEXTANT_SCOPE. Check that the code with the scopes ran");
  }
  if (run.exit.verdict() == v1::SIGNALLED)
    absl::StrAppend(&why, "; it was ended by signal ", run.exit.signal());
  if (run.exit.verdict() == v1::TIMED_OUT)
    absl::StrAppend(&why, "; it was stopped at its time limit");
  if (run.exit.verdict() == v1::EXITED && run.exit.exit_code() != 0) {
    absl::StrAppend(&why, "; it exited with code ", run.exit.exit_code());
  }
  for (const std::string& note : imported.notes) absl::StrAppend(&why, "; ", note);
  return WithRemedy(absl::FailedPreconditionError(absl::StrCat("nothing was recorded: ", why)),
                    "mark regions in the program (sextant/scope.h), or use the backend `run` when "
                    "nothing is to be recorded");
}

}  // namespace

std::string HostBackend::Name() const { return "host"; }

v1::BackendOffer HostBackend::Probe() const {
  v1::BackendOffer offer;
  offer.set_name(Name());
  offer.set_available(true);
  // The tool is the header in the user's program: its format decides what can be compared.
  offer.set_tool_digest(absl::BytesToHexString(
      chunk::Digest(absl::StrCat("host backend, format ", SEXTANT_FORMAT_VERSION))));
  offer.add_features(clock_.HasCounter() ? "counter-clock" : "monotonic-clock");
  offer.add_features("perf-software");
  if (const int error = ProbePerfHardware(); error == 0) {
    offer.add_features("perf-hardware");
  } else {
    offer.set_reason(
        absl::StrCat("hardware counters cannot be read (", strerror(error), "): ",
                     error == EACCES || error == EPERM
                         ? "set kernel.perf_event_paranoid to 2 or less"
                         : "this machine offers none, as most virtual machines do not"));
  }
  return offer;
}

absl::StatusOr<LaunchPlan> HostBackend::Prepare(const v1::Assignment& assignment) const {
  const v1::Workload& workload = assignment.workload();
  if (workload.argv().empty()) {
    return absl::InvalidArgumentError("workload.argv: is empty; name the program to run");
  }
  ASSIGN_OR_RETURN(host::Options options, host::ParseOptions(assignment.spec()));
  RETURN_IF_ERROR(FitFiles(workload.limits(), &options));
  LaunchPlan plan;
  plan.argv.assign(workload.argv().begin(), workload.argv().end());
  plan.env = host::EnvironmentOf(options);
  plan.allow_perf_events =
      std::any_of(options.counters.begin(), options.counters.end(), IsHardware);
  return plan;
}

absl::StatusOr<Collected> HostBackend::Collect(const RunRecord& run) const {
  ASSIGN_OR_RETURN(const host::ResultFiles files, host::ListResults(run.results_dir));
  host::HostImporter importer(run.started_monotonic_ns,
                              run.recorded_clock_hz > 0 ? host::RecordedClocks(run.recorded_clock_hz)
                                                        : clock_.Now());
  host::ImportResults(run.results_dir, files, &importer);
  if (run.assignment != nullptr && run.assignment->spec().options().contains("counters")) {
    importer.Note(
        "counters are sums over user code between begin and end of a scope, those of inner "
        "scopes included; times of this pass contain the reading of the counters");
  }
  host::Imported imported = importer.Finish();
  if (imported.instances.empty()) return EmptyCapture(run, imported);

  Collected collected;
  collected.events = imported.instances.size();
  collected.dropped = imported.dropped;
  collected.clock_hz = imported.clock_hz;
  collected.counters = std::move(imported.counters);
  collected.notes = std::move(imported.notes);
  RETURN_IF_ERROR(chunk::EncodeTrace(std::move(imported.trace), std::move(imported.instances),
                                     [&collected](chunk::EncodedChunk encoded) {
                                       collected.chunks.push_back(std::move(encoded.bytes));
                                       return absl::OkStatus();
                                     }),
                  "encoding the trace");
  return collected;
}

}  // namespace sextant::backends

#include "workers/backends/scopes/scopes_backend.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/include/sextant/detail/scopes_format.h"
#include "proto/chunk/encoder.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "workers/backends/injected/launches.h"
#include "workers/backends/injected/plan.h"
#include "workers/backends/injected/read_launches.h"
#include "workers/backends/result_file.h"
#include "workers/backends/scopes/importer.h"
#include "workers/backends/scopes/options.h"

namespace sextant::backends {
namespace {

constexpr size_t kMaxResultFiles = 64 * 1024;
constexpr uint64_t kMaxFileBytes = uint64_t{8} << 30;
constexpr size_t kMaxNamedBytes = 64;

// Hands the recorders' files to the importer; one that is refused becomes a note.
void ImportFiles(const RunRecord& run, scopes::ScopesImporter* importer) {
  for (const std::string& name : ListResultFiles(run.results_dir, kMaxResultFiles)) {
    if (!absl::StartsWith(name, "sextant-scopes-") || !absl::EndsWith(name, ".bin")) continue;
    absl::Status status;
    if (const auto bytes = ReadResultFile(run.results_dir / name, kMaxFileBytes); bytes.ok()) {
      status = importer->Add({reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()});
    } else {
      status = bytes.status();
    }
    if (!status.ok()) {
      importer->Note(absl::StrCat("results file ", chunk::CleanName(name, kMaxNamedBytes),
                                  " was left out: ", status.message()));
    }
  }
}

std::vector<scopes::KnownLaunch> Known(const injected::Launches& launches, uint64_t began_ns) {
  std::vector<scopes::KnownLaunch> known;
  for (const injected::Launch& launch : launches.launches()) {
    const uint64_t start_ns = launch.record.start_ns;
    known.push_back({.launch = static_cast<uint32_t>(launch.number),
                     .kernel = launches.kernels()[launch.kernel].name,
                     .start_ns = start_ns > began_ns ? start_ns - began_ns : 0});
  }
  return known;
}

// Why there is no scope in what was left, in words for one who meets this the first time.
absl::Status EmptyCapture(const RunRecord& run, const scopes::Imported& imported) {
  std::string why;
  if (run.exit.verdict() == v1::NOT_STARTED) {
    why = absl::StrCat("the program was not started: ", run.exit.detail());
  } else if (imported.files == 0) {
    why =
        "no process of the program made a sextant::Recorder: it does not include "
        "sextant/scope.cuh, was compiled with SEXTANT_DISABLE, or clears its environment. Put "
        "SEXTANT_KERNEL(ctx) and SEXTANT_SCOPE(ctx, \"name\") into kernels and `sextant::Recorder "
        "recorder;` into main, and build with -I client/include; the backend \"proton\" does "
        "without for Triton";
  } else if (!imported.errors.empty()) {
    why = absl::StrCat("the recorder could not fetch what kernels recorded: ", imported.errors[0],
                       ". Option memory=host keeps what was recorded before an error");
  } else if (imported.open_scopes > 0) {
    why = absl::StrCat("scopes were begun but none ended before the process did (",
                       imported.open_scopes, " were open)");
  } else if (imported.warps > 0) {
    why = absl::StrCat(imported.warps,
                       " warps came through SEXTANT_KERNEL, but none through a SEXTANT_SCOPE that "
                       "the options select");
    if (run.assignment != nullptr && run.assignment->spec().options().contains("split")) {
      absl::StrAppend(&why, " (names fall into parts by chance, and this part has none)");
    }
  } else if (imported.unfinished) {
    why =
        "the process ended without running its exit handlers (a signal, _exit), and what kernels "
        "recorded lay in device memory. Option memory=host keeps it";
  } else {
    why =
        "no warp came through a SEXTANT_KERNEL. Check that the kernels with it ran, on the device "
        "that was current when the sextant::Recorder was made, and before it ended";
  }
  if (run.exit.verdict() == v1::SIGNALLED)
    absl::StrAppend(&why, "; it was ended by signal ", run.exit.signal());
  if (run.exit.verdict() == v1::TIMED_OUT)
    absl::StrAppend(&why, "; it was stopped at its time limit");
  if (run.exit.verdict() == v1::EXITED && run.exit.exit_code() != 0) {
    absl::StrAppend(&why, "; it exited with code ", run.exit.exit_code());
  }
  for (const std::string& note : imported.notes) absl::StrAppend(&why, "; ", note);
  return absl::FailedPreconditionError(absl::StrCat("nothing was recorded: ", why));
}

}  // namespace

std::string ScopesBackend::Name() const { return "scopes"; }

v1::BackendOffer ScopesBackend::Probe() const {
  v1::BackendOffer offer;
  offer.set_name(Name());
  offer.set_available(true);
  offer.set_device_kind("gpu");
  // The tool is the header in the user's program: its format decides what can be compared.
  offer.set_tool_digest(absl::BytesToHexString(
      chunk::Digest(absl::StrCat("scopes backend, format ", SEXTANT_SCOPES_VERSION))));
  return offer;
}

absl::StatusOr<LaunchPlan> ScopesBackend::Prepare(const v1::Assignment& assignment) const {
  const v1::Workload& workload = assignment.workload();
  if (workload.argv().empty()) {
    return absl::InvalidArgumentError("workload.argv: is empty; name the program to run");
  }
  ASSIGN_OR_RETURN(const scopes::Options options, scopes::ParseOptions(assignment.spec()));
  LaunchPlan plan;
  if (options.launches && injected::ProbeInjection(site_, Name()).available()) {
    ASSIGN_OR_RETURN(plan, injected::PlanInjection(site_, assignment, injected::kActivityInstrument,
                                                   {{injected::kLightOption, "1"}}));
  } else {
    plan.argv.assign(workload.argv().begin(), workload.argv().end());
  }
  plan.env["SEXTANT_RESULTS"] = "/results";
  plan.env["SEXTANT_SCOPES"] = options.recorder;
  return plan;
}

absl::StatusOr<Collected> ScopesBackend::Collect(const RunRecord& run) const {
  injected::Launches launches(
      run.assignment != nullptr ? run.assignment->workload().kernels() : "",
      run.started_monotonic_ns);
  std::vector<std::string> unread;
  RETURN_IF_ERROR(injected::ReadLaunches(run, injected::kActivityInstrument, &launches, &unread));
  scopes::ScopesImporter importer(run.started_monotonic_ns,
                                  Known(launches, run.started_monotonic_ns));
  ImportFiles(run, &importer);
  scopes::Imported imported = importer.Finish();
  // A hang is worth knowing also where no scope ended: the table of open ones says where it is.
  const bool hung = imported.open_scopes > 0 && run.exit.verdict() != v1::EXITED;
  if (imported.instances.empty() && !hung) return EmptyCapture(run, imported);

  Collected collected;
  collected.events = imported.instances.size();
  collected.dropped = imported.dropped;
  collected.clock_hz = imported.clock_hz;
  collected.tables = std::move(imported.tables);
  if (!launches.launches().empty()) {
    collected.tables.push_back(launches.LaunchTable());
    collected.tables.push_back(launches.KernelTable());
  }
  collected.notes = std::move(imported.notes);
  for (std::string& note : unread) collected.notes.push_back(std::move(note));
  RETURN_IF_ERROR(chunk::EncodeTrace(std::move(imported.trace), std::move(imported.instances),
                                     [&collected](chunk::EncodedChunk encoded) {
                                       collected.chunks.push_back(std::move(encoded.bytes));
                                       return absl::OkStatus();
                                     }),
                  "encoding the trace");
  return collected;
}

}  // namespace sextant::backends

#include "workers/backends/injected/outcome.h"

#include <signal.h>

#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sextant::backends::injected {
namespace {

constexpr size_t kMaxNotes = 24;

bool IsCrash(int signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE ||
         signal == SIGABRT;
}

// The signal the program died of, or 0. A shell between passes it on as 128 + n.
int SignalOf(const v1::ExitReport& exit) {
  if (exit.verdict() == v1::SIGNALLED) return exit.signal();
  if (exit.verdict() == v1::EXITED && exit.exit_code() > 128) return exit.exit_code() - 128;
  return 0;
}

std::string Ending(const v1::ExitReport& exit) {
  switch (exit.verdict()) {
    case v1::SIGNALLED:
      return absl::StrCat("; it was ended by signal ", exit.signal());
    case v1::TIMED_OUT:
      return "; it was stopped at its time limit";
    case v1::HANG:
      return "; it was stopped because it hung";
    case v1::EXITED:
      return exit.exit_code() != 0 ? absl::StrCat("; it exited with code ", exit.exit_code()) : "";
    default:
      return "";
  }
}

std::string Named(const Process& process) {
  const std::string& path = process.header.program;
  return absl::StrCat("process ", process.header.pid, " (", path.substr(path.rfind('/') + 1), ")");
}

// What to do about what CUPTI says.
std::string Remedy(const std::string& failure) {
  if (absl::StrContains(failure, "INSUFFICIENT_PRIVILEGES")) {
    return ". The driver lets only administrators profile: load it with "
           "NVreg_RestrictProfilingToAdminUsers=0, or run the worker as root";
  }
  if (absl::StrContains(failure, "CUPTI was not found")) {
    return ". Start the worker with the CUDA toolkit's directory, or use a program that brings "
           "CUPTI, as PyTorch does";
  }
  if (absl::StrContains(failure, "MULTIPLE_SUBSCRIBERS")) {
    return ". A process can have one user of CUPTI: turn the program's own profiler off";
  }
  return "";
}

}  // namespace

absl::Status NothingRecorded(const RunRecord& run, const std::vector<Process>& processes,
                             const std::string& detail) {
  const v1::ExitReport& exit = run.exit;
  if (exit.verdict() == v1::NOT_STARTED) {
    return absl::FailedPreconditionError(
        absl::StrCat("nothing was recorded: the program was not started: ", exit.detail()));
  }
  for (const Process& process : processes) {
    if (process.header.state != inject::kFailed) continue;
    return absl::UnavailableError(absl::StrCat("nothing was recorded: in ", Named(process), " ",
                                               process.header.failure,
                                               Remedy(process.header.failure), Ending(exit)));
  }
  std::string why;
  if (processes.empty()) {
    why =
        "no process of the program started CUDA: it uses no GPU, ended before, found no device "
        "or driver, or clears its environment";
  } else {
    why = detail;
  }
  absl::StrAppend(&why, Ending(exit));
  for (const std::string& note : NotesOf(run, processes)) absl::StrAppend(&why, "; ", note);
  return absl::FailedPreconditionError(absl::StrCat("nothing was recorded: ", why));
}

std::vector<std::string> NotesOf(const RunRecord& run, const std::vector<Process>& processes) {
  std::vector<std::string> notes;
  const int signal = SignalOf(run.exit);
  for (const Process& process : processes) {
    const Header& header = process.header;
    const std::string name = Named(process);
    for (const std::string& note : process.notes) notes.push_back(absl::StrCat(name, ": ", note));
    if (header.state == inject::kFailed) {
      notes.push_back(
          absl::StrCat(name, " was not recorded: ", header.failure, Remedy(header.failure)));
    }
    if (header.state == inject::kStarted && header.inside > 0 && IsCrash(signal)) {
      notes.push_back(absl::StrCat(name, " died of signal ", signal,
                                   " while a thread was inside Sextant's injection library (",
                                   header.instrument,
                                   "): the crash may be ours. Compare with a pass of backend run"));
    } else if (header.state == inject::kStarted) {
      notes.push_back(absl::StrCat(name,
                                   " ended without its exit handlers: what was recorded last "
                                   "may be missing"));
    }
    if (header.write_errno != 0) {
      notes.push_back(absl::StrCat(name, ": writing ended early (",
                                   strerror(static_cast<int>(header.write_errno)),
                                   "): a limit on disk or file size was "
                                   "reached, and ",
                                   header.dropped_frames, " frames are missing"));
    }
    if (header.dropped_records > 0) {
      notes.push_back(absl::StrCat(name, ": CUPTI lost ", header.dropped_records, " records"));
    }
    if (header.foreign > 0) {
      notes.push_back(absl::StrCat(name,
                                   ": its file was damaged, by the program or the disk; what "
                                   "came after the damage was not read"));
    }
  }
  if (notes.size() > kMaxNotes) {
    const size_t more = notes.size() - kMaxNotes;
    notes.resize(kMaxNotes);
    notes.push_back(absl::StrCat(more, " more notes like these were left out"));
  }
  return notes;
}

}  // namespace sextant::backends::injected

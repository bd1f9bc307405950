// The words for what was not recorded.
#include "workers/backends/injected/outcome.h"

#include <csignal>

#include "absl/strings/str_join.h"
#include "tests/catch.h"

namespace sextant::backends::injected {
namespace {

RunRecord Run(v1::Verdict verdict, int code_or_signal = 0) {
  RunRecord run;
  run.exit.set_verdict(verdict);
  if (verdict == v1::EXITED) run.exit.set_exit_code(code_or_signal);
  if (verdict == v1::SIGNALLED) run.exit.set_signal(code_or_signal);
  return run;
}

Process ProcessIn(inject::FileState state) {
  Process process;
  process.header.pid = 7;
  process.header.program = "/work/matmul";
  process.header.instrument = "activity";
  process.header.state = state;
  return process;
}

std::string Notes(const RunRecord& run, const Process& process) {
  return absl::StrJoin(NotesOf(run, {process}), "\n");
}

TEST_CASE("a program that started no CUDA is an empty capture") {
  const absl::Status status = NothingRecorded(Run(v1::EXITED, 1), {}, "");
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(status.message() ==
        "nothing was recorded: no process of the program started CUDA: it uses no GPU, ended "
        "before, found no device or driver, or clears its environment; it exited with code 1");
}

TEST_CASE("an instrument without permission is the tool's failure, with the remedy") {
  Process process = ProcessIn(inject::kFailed);
  process.header.failure = "device records: CUPTI_ERROR_INSUFFICIENT_PRIVILEGES";
  const absl::Status status = NothingRecorded(Run(v1::EXITED), {process}, "");
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  const std::string message(status.message());
  CHECK_THAT(message, Catch::Contains("in process 7 (matmul) device records"));
  CHECK_THAT(message, Catch::Contains("NVreg_RestrictProfilingToAdminUsers=0"));
}

TEST_CASE("a program with a profiler of its own is told so") {
  Process process = ProcessIn(inject::kFailed);
  process.header.failure = "cuptiSubscribe: CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED";
  CHECK_THAT(std::string(NothingRecorded(Run(v1::EXITED), {process}, "").message()),
             Catch::Contains("turn the program's own profiler off"));
}

TEST_CASE("a crash while a thread was inside the library may be ours") {
  Process process = ProcessIn(inject::kStarted);
  process.header.inside = 1;
  CHECK_THAT(Notes(Run(v1::SIGNALLED, SIGSEGV), process),
             Catch::Contains("inside Sextant's injection library (activity)"));
  // A shell between passes the signal on in its exit code.
  CHECK_THAT(Notes(Run(v1::EXITED, 128 + SIGSEGV), process),
             Catch::Contains("the crash may be ours"));
  // Stopped at a limit: threads were somewhere.
  CHECK_THAT(Notes(Run(v1::TIMED_OUT), process),
             Catch::Contains("ended without its exit handlers"));
  process.header.inside = 0;
  CHECK_THAT(Notes(Run(v1::SIGNALLED, SIGSEGV), process),
             Catch::Contains("ended without its exit handlers"));
}

TEST_CASE("losses are said, and nothing where there is none") {
  Process process = ProcessIn(inject::kStopped);
  CHECK(Notes(Run(v1::EXITED), process).empty());
  process.header.write_errno = ENOSPC;
  process.header.dropped_frames = 3;
  process.header.dropped_records = 5;
  process.header.foreign = 1;
  const std::string notes = Notes(Run(v1::EXITED), process);
  CHECK_THAT(notes, Catch::Contains("3 frames are missing"));
  CHECK_THAT(notes, Catch::Contains("CUPTI lost 5 records"));
  CHECK_THAT(notes, Catch::Contains("was damaged"));
}

TEST_CASE("a thousand processes do not make a thousand notes") {
  const std::vector<Process> processes(1000, ProcessIn(inject::kStarted));
  const auto notes = NotesOf(Run(v1::EXITED), processes);
  CHECK(notes.size() == 25);
  CHECK_THAT(notes.back(), Catch::Contains("976 more notes"));
}

}  // namespace
}  // namespace sextant::backends::injected

#include "workers/agent/failures.h"

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"

namespace sextant::agent {
namespace {

std::string Sentence(const v1::ExitReport& exit) {
  switch (exit.verdict()) {
    case v1::EXITED:
      return absl::StrCat("the program exited with code ", exit.exit_code());
    case v1::SIGNALLED:
      return absl::StrCat("the program was ended by signal ", exit.signal());
    case v1::TIMED_OUT:
      return "the program ran longer than limits.wall_s";
    case v1::OUT_OF_MEMORY:
      return "the program used more than limits.memory_bytes";
    case v1::HANG:
      return "the program did nothing for limits.hang_s";
    case v1::VIOLATION:
      return "the program did what the sandbox forbids";
    case v1::OUTPUT_LIMIT:
      return "the program printed more than limits.output_bytes";
    case v1::KILLED:
      return "the program was killed";
    case v1::NOT_STARTED:
      return "the program could not be started";
    default:
      return "the program did not end well";
  }
}

absl::string_view Remedy(const v1::ExitReport& exit) {
  switch (exit.verdict()) {
    case v1::TIMED_OUT:
      return "raise limits.wall_s, or give the program less to do";
    case v1::OUT_OF_MEMORY:
      return "raise limits.memory_bytes, or give the program less to do";
    case v1::HANG:
      return "look at its output with `sextant logs`; a program that waits silently for long needs "
             "a larger limits.hang_s, or 0 to switch this off";
    case v1::VIOLATION:
      return "the detail names the system call or limit; limits.pids, disk_bytes and file_bytes "
             "can be raised, forbidden calls cannot be allowed";
    case v1::OUTPUT_LIMIT:
      return "print less, or raise limits.output_bytes";
    case v1::NOT_STARTED:
      return "check argv[0]: it is looked up in the working directory, then in PATH, and must be "
             "executable for this machine; of what lies outside the system's directories programs see what the "
             "worker shows them: `sextant up -- --path-prefix VENV/bin` a Python environment, `--expose DIR` a "
             "directory";
    default:
      return "look at its output with `sextant logs`; run it again with --keep and enter its "
             "container with `sextant shell`";
  }
}

}  // namespace

v1::Failure MakeFailure(v1::Cause cause, absl::string_view step, absl::string_view message,
                        absl::string_view remedy) {
  v1::Failure failure;
  failure.set_cause(cause);
  failure.set_step(std::string(step));
  failure.set_message(std::string(message));
  failure.set_remedy(std::string(remedy));
  return failure;
}

v1::Failure FailureOfStatus(absl::string_view step, const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      return MakeFailure(v1::TOOL_FAILED, step, status.message(),
                         "the worker's disk or memory is full: free some, or give the worker "
                         "another --state directory");
    case absl::StatusCode::kNotFound:
      return MakeFailure(v1::REJECTED, step, status.message(),
                         "upload the file (FindMissingBlobs, UploadBlobs) and submit again");
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kAlreadyExists:
      return MakeFailure(v1::REJECTED, step, status.message(),
                         "correct what is named and submit again");
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
      return MakeFailure(v1::REJECTED, step, status.message(),
                         "`sextant doctor` on the worker says what it can do, and why not more");
    default:
      return MakeFailure(v1::INTERNAL, step, status.message(),
                         "the worker's log has more under the pass id");
  }
}

v1::Failure FailureOfCollect(const absl::Status& status) {
  const std::string remedy = RemedyOf(status);
  const auto with = [&](v1::Cause cause, absl::string_view otherwise) {
    return MakeFailure(cause, "collect", status.message(), remedy.empty() ? otherwise : remedy);
  };
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
      return with(v1::EMPTY_CAPTURE,
                  "check that the program does what this backend looks at, or use the backend `run` "
                  "when nothing is to be recorded");
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
      return with(v1::REJECTED, "`sextant doctor` on the worker says what it can do, and why not more");
    default:
      return with(v1::TOOL_FAILED, "run it again with --keep and look at the results directory");
  }
}

bool IsOfTool(const absl::Status& collect) {
  return absl::IsPermissionDenied(collect) || absl::IsUnimplemented(collect) ||
         absl::IsUnavailable(collect);
}

bool FailureOfExit(const v1::ExitReport& exit, absl::string_view task_kind, v1::Failure* failure) {
  if (exit.verdict() == v1::EXITED && exit.exit_code() == 0) return false;
  std::string message = Sentence(exit);
  if (!exit.detail().empty()) absl::StrAppend(&message, ": ", exit.detail());
  const bool verified = task_kind == "verify" && exit.verdict() == v1::EXITED;
  *failure =
      MakeFailure(verified ? v1::VERIFY_FAILED : v1::PROGRAM_FAILED, "run", message, Remedy(exit));
  return true;
}

}  // namespace sextant::agent

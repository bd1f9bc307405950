// The shared words of commands.h: states, exits, failures, request ids.
#include <pwd.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/text.h"

namespace sextant::cli {

std::string Submitter(const Context& context) {
  if (auto named = context.environment("SEXTANT_SUBMITTER")) return *named;
  if (const passwd* user = getpwuid(geteuid()); user != nullptr) return user->pw_name;
  return absl::StrCat("uid-", geteuid());
}

std::string NewRequestId() {
  std::random_device random;
  std::string id = "cli-";
  for (int i = 0; i < 4; ++i) absl::StrAppendFormat(&id, "%08x", random());
  return id;
}

std::string StateName(v1::State state) {
  return v1::State_IsValid(state) ? absl::AsciiStrToLower(v1::State_Name(state))
                                  : absl::StrCat("state ", static_cast<int>(state));
}

std::string PaintState(const Context& context, v1::State state) {
  if (!context.out_terminal.color) return StateName(state);
  const int color = state == v1::DONE ? 41 : state == v1::FAILED ? 203 : state == v1::RUNNING ? 39
                    : state == v1::CANCELLED ? 214 : 250;
  return absl::StrCat("\x1b[38;5;", color, "m", StateName(state), "\x1b[0m");
}

std::string DescribeExit(const v1::ExitReport& report) {
  std::string text;
  switch (report.verdict()) {
    case v1::EXITED:
      text = absl::StrCat("exit ", report.exit_code());
      break;
    case v1::SIGNALLED: {
      const char* name = strsignal(report.signal());
      text = absl::StrCat("signal ", report.signal(), name ? absl::StrCat(" (", name, ")") : "");
      break;
    }
    case v1::TIMED_OUT:
      text = "timed out";
      break;
    case v1::OUT_OF_MEMORY:
      text = "out of memory";
      break;
    case v1::HANG:
      text = "hang";
      break;
    case v1::VIOLATION:
      text = "violation";
      break;
    case v1::OUTPUT_LIMIT:
      text = "too much output";
      break;
    case v1::KILLED:
      text = "killed";
      break;
    case v1::NOT_STARTED:
      text = "not started";
      break;
    default:
      return "";
  }
  if (!report.detail().empty()) absl::StrAppend(&text, ": ", Escape(report.detail(), 300));
  return text;
}

std::string DescribeFailure(const v1::Failure& failure, absl::string_view indent) {
  if (failure.cause() == v1::CAUSE_UNSPECIFIED && failure.message().empty()) return "";
  std::string cause = absl::AsciiStrToLower(
      v1::Cause_IsValid(failure.cause()) ? v1::Cause_Name(failure.cause()) : "unknown");
  for (char& c : cause) c = c == '_' ? ' ' : c;
  std::string text = absl::StrCat(
      indent, cause,
      failure.step().empty() ? "" : absl::StrCat(" in step ", Escape(failure.step(), 40)), ": ",
      Escape(failure.message(), 1000), "\n");
  if (!failure.remedy().empty()) absl::StrAppend(&text, indent, "  → ", Escape(failure.remedy(), 500), "\n");
  return text;
}

absl::StatusOr<v1::SubmitJobResponse> SubmitSafely(Context& context,
                                                   const v1::SubmitJobRequest& request) {
  constexpr absl::Duration kGiveUp = absl::Seconds(30);
  const absl::Time begin = absl::Now();
  absl::Duration backoff = absl::Milliseconds(100);
  while (true) {
    auto response = context.service().SubmitJob(request);
    const absl::Status& status = response.status();
    const bool again = absl::IsUnavailable(status) || absl::IsUnknown(status) || absl::IsAborted(status);
    if (!again || absl::Now() - begin > kGiveUp) return response;
    absl::SleepFor(backoff);
    backoff = std::min(backoff * 2, absl::Seconds(3));
  }
}

int PrintOutcome(Context& context, const v1::JobInfo& job, int interrupts) {
  const double took = job.finished_unix_ns() > job.created_unix_ns()
                          ? static_cast<double>(job.finished_unix_ns() - job.created_unix_ns()) : 0;
  const std::string passes = job.passes() == 0 ? "" : absl::StrCat(
      ", ", job.passes_done(), "/", job.passes(), " passes",
      job.passes_cached() > 0 ? absl::StrCat(" (", job.passes_cached(), " from the cache)") : "",
      job.passes_failed() > 0 ? absl::StrCat(", ", job.passes_failed(), " failed") : "");
  context.Note(absl::StrCat("job ", job.job_id(), " ", StateName(job.state()), passes,
                            took > 0 ? absl::StrCat(" in ", FormatNs(took)) : ""));
  if (!context.json && job.has_failure()) context.err << DescribeFailure(job.failure(), "  ");
  if (interrupts > 0) return kInterrupted;
  return job.state() == v1::DONE ? kOk : kFailed;
}

}  // namespace sextant::cli

#include "workers/sandbox/explain.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "absl/strings/str_cat.h"

namespace sextant::sandbox {

void ExplainEnd(int wait_status, const v1::ResourceLimits& limits, v1::ExitReport& report) {
  if (WIFEXITED(wait_status)) {
    report.set_verdict(v1::EXITED);
    report.set_exit_code(WEXITSTATUS(wait_status));
    return;
  }
  const int signal = WTERMSIG(wait_status);
  report.set_signal(signal);
  switch (signal) {
    case SIGSYS:
      report.set_verdict(v1::VIOLATION);
      report.set_detail("made a system call that the sandbox forbids (SIGSYS)");
      break;
    case SIGXFSZ:
      report.set_verdict(v1::VIOLATION);
      report.set_detail(absl::StrCat("wrote a file larger than file_bytes = ",
                                     limits.file_bytes()));
      break;
    case SIGXCPU:
      report.set_verdict(v1::TIMED_OUT);
      report.set_detail(absl::StrCat("used more CPU time than wall_s = ", limits.wall_s(),
                                     " times cpu_cores = ", limits.cpu_cores()));
      break;
    default:
      report.set_verdict(v1::SIGNALLED);
      report.set_detail(absl::StrCat("ended by signal ", signal, " (", strsignal(signal), ")"));
  }
}

}  // namespace sextant::sandbox

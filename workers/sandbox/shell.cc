#include "workers/sandbox/shell.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/sandbox/bubblewrap.h"
#include "workers/sandbox/init.h"

namespace sextant::sandbox {

absl::StatusOr<int> ShellInto(const RunSpec& kept, std::vector<std::string> argv,
                              const SandboxOptions& options) {
  ASSIGN_OR_RETURN(const BwrapLauncher launcher, BwrapLauncher::Make(options));
  RunSpec spec = kept;
  spec.argv = !argv.empty() ? std::move(argv)
                            : std::vector<std::string>{
                                  "/bin/sh", "-c",
                                  "command -v bash >/dev/null && exec bash -i || exec sh -i"};
  for (const char* name : {"TERM", "COLORTERM", "LANG"}) {
    if (const char* value = getenv(name)) spec.env.emplace(name, value);
  }
  spec.limits.clear_wall_s();  // and with it the bound on CPU time
  Launch launch;
  RETURN_IF_ERROR(launcher.Prepare(spec, /*interactive=*/true, launch));
  for (int i = 0; i < 3; ++i) launch.spawn.stdio[i] = i;
  ASSIGN_OR_RETURN(const Spawned spawned, Spawn(launch.spawn));
  launch.status.write.reset();
  launch.report.write.reset();
  launch.others.clear();
  if (spawned.pid < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(launcher.program().path, ": ", strerror(spawned.exec_errno)));
  }

  // Keys that send signals are meant for the shell.
  struct sigaction ignore = {}, interrupt, quit;
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGINT, &ignore, &interrupt);
  sigaction(SIGQUIT, &ignore, &quit);
  int status = 0;
  while (waitpid(spawned.pid, &status, 0) < 0 && errno == EINTR) {
  }
  sigaction(SIGINT, &interrupt, nullptr);
  sigaction(SIGQUIT, &quit, nullptr);

  bool started = false;
  InitReport record;
  while (read(launch.report.read.get(), &record, sizeof record) == sizeof record) {
    if (record.kind == kInitStarted) started = true;
    if (record.kind == kInitFailed) {
      return absl::FailedPreconditionError(
          absl::StrCat(spec.argv[0], ": ", strerror(record.value), " inside the container"));
    }
    if (record.kind == kInitEnded) {
      return WIFEXITED(record.value) ? WEXITSTATUS(record.value) : 128 + WTERMSIG(record.value);
    }
  }
  if (started) return 128 + SIGKILL;
  return absl::FailedPreconditionError(absl::StrCat("the container could not be made; ",
                                                    NamespaceRemedy("")));
}

}  // namespace sextant::sandbox

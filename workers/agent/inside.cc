#include "workers/agent/inside.h"

#include <unistd.h>

#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/agent/files.h"

namespace sextant::agent {
namespace {

std::string ReadWhole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

absl::StatusOr<backends::InsideEnd> Run(sandbox::Sandbox& sandbox,
                                        const backends::InsideCommand& command) {
  sandbox::RunSpec spec;
  spec.argv = command.argv;
  spec.env = {
      {"LANG", "C.UTF-8"}, {"HOME", "/tmp"}, {"TMPDIR", "/tmp"}, {"SEXTANT_RESULTS", "/results"}};
  spec.work_dir = command.work_dir;
  spec.results_dir = command.results_dir;
  for (const auto& mount : command.mounts) {
    spec.mounts.push_back({mount.source, mount.target, mount.writable});
  }
  spec.limits = command.limits;
  spec.stdin_text = command.stdin_text;
  // Beside the directory, where what runs inside cannot reach.
  spec.stdout_path = command.results_dir.string() + ".stdout";
  spec.stderr_path = command.results_dir.string() + ".stderr";
  spec.name = absl::StrCat("inside-", command.results_dir.parent_path().filename().string());
  ASSIGN_OR_RETURN(const std::unique_ptr<sandbox::Running> running, sandbox.Start(spec));
  backends::InsideEnd end;
  end.exit = running->Wait();
  end.out = ReadWhole(spec.stdout_path);
  end.err = ReadWhole(spec.stderr_path);
  unlink(spec.stdout_path.c_str());
  unlink(spec.stderr_path.c_str());
  return end;
}

}  // namespace

backends::RunInside MakeRunInside(sandbox::Sandbox& sandbox) {
  return [&sandbox](const backends::InsideCommand& command) { return Run(sandbox, command); };
}

}  // namespace sextant::agent

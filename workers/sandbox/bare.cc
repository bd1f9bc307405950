#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/status/status.h"
#include "workers/sandbox/policy.h"
#include "workers/sandbox/run.h"
#include "workers/sandbox/user.h"

namespace sextant::sandbox {
namespace {

bool Executable(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && access(path.c_str(), X_OK) == 0;
}

// As our init does inside: the working directory, then PATH.
std::string Resolve(const std::string& name, const std::string& work, const std::string& path) {
  if (absl::StrContains(name, '/')) return name;
  const std::string here = absl::StrCat(work, "/", name);
  if (!work.empty() && Executable(here)) return here;
  for (absl::string_view directory : absl::StrSplit(path, ':', absl::SkipEmpty())) {
    const std::string candidate = absl::StrCat(directory, "/", name);
    if (Executable(candidate)) return candidate;
  }
  return here;  // its absence is the error to report
}

class Bare : public Sandbox {
 public:
  Bare(absl::StatusOr<std::optional<Owner>> user, CgroupMaker cgroups)
      : user_(std::move(user)), cgroups_(std::move(cgroups)) {}

  std::string Description() const override { return "none"; }

  absl::StatusOr<std::unique_ptr<Running>> Start(const RunSpec& spec) override {
    if (spec.argv.empty() || spec.argv[0].empty()) {
      return absl::InvalidArgumentError("argv is empty; name a program");
    }
    const bool mounts = std::any_of(
        spec.mounts.begin(), spec.mounts.end(),
        [](const RunSpec::Mount& mount) { return mount.source != mount.target; });
    if (!spec.rootfs.empty() || mounts) {
      return absl::FailedPreconditionError(
          "rootfs and mounts need the bubblewrap sandbox; this worker runs without one");
    }
    RETURN_IF_ERROR(user_.status());
    Launch launch;
    launch.spec = spec;
    for (const auto* directory : {&spec.work_dir, &spec.results_dir}) {
      if (directory->empty()) continue;
      ASSIGN_OR_RETURN(const DiskUse use, MeasureDisk(*directory, *user_), "preparing a run");
      launch.placed_bytes += use.bytes;
    }
    RETURN_IF_ERROR(PrepareStreams(launch));

    SpawnRequest& spawn = launch.spawn;
    spawn.new_session = true;
    spawn.cwd = spec.work_dir.empty() ? "/tmp" : spec.work_dir.string();
    for (const std::string& argument : spec.argv) spawn.argv.push_back(Outside(spec, argument));
    for (const auto& [name, value] : WholeEnvironment(spec)) {
      spawn.env[name] = Outside(spec, value);
    }
    spawn.path = Resolve(spawn.argv[0], spec.work_dir.string(), spawn.env["PATH"]);
    launch.started_program = spec.argv[0];
    if ((*user_).has_value()) {
      spawn.change_user = true;
      spawn.uid = (*user_)->uid;
      spawn.gid = (*user_)->gid;
    }
    AddLimits(spec, spawn);
    RETURN_IF_ERROR(PrepareCgroup(cgroups_, 0, launch));
    return StartRun(std::move(launch));
  }

 private:
  static std::string Outside(const RunSpec& spec, const std::string& value) {
    const std::pair<absl::string_view, std::string> places[] = {
        {"/work", spec.work_dir.string()}, {"/results", spec.results_dir.string()}};
    for (const auto& [inside, outside] : places) {
      if (outside.empty() || !absl::StartsWith(value, inside)) continue;
      const std::string rest = value.substr(inside.size());
      if (rest.empty() || rest[0] == '/') return outside + rest;
    }
    return value;
  }

  // Without a user namespace the number of processes is counted over everything the user runs, so
  // RLIMIT_NPROC stays as it is.
  static void AddLimits(const RunSpec& spec, SpawnRequest& spawn) {
    auto add = [&](int resource, uint64_t value) {
      spawn.rlimits.push_back({resource, {static_cast<rlim_t>(value), static_cast<rlim_t>(value)}});
    };
    add(RLIMIT_CORE, 0);
    const std::pair<absl::string_view, int> names[] = {{"as=", RLIMIT_AS}, {"cpu=", RLIMIT_CPU},
                                                       {"fsize=", RLIMIT_FSIZE},
                                                       {"nofile=", RLIMIT_NOFILE}};
    for (const std::string& limit : InitLimits(spec)) {
      for (const auto& [name, resource] : names) {
        if (!absl::StartsWith(limit, name)) continue;
        add(resource, strtoull(limit.c_str() + name.size(), nullptr, 10));
      }
    }
  }

  const absl::StatusOr<std::optional<Owner>> user_;
  const CgroupMaker cgroups_;
};

}  // namespace

std::unique_ptr<Sandbox> MakeBareSandbox(SandboxOptions options) {
  CgroupMaker cgroups;
  if (options.cgroups) {
    cgroups = CgroupMaker::Find();
    cgroups.Sweep();
  }
  return std::make_unique<Bare>(FindUser(options.unprivileged_user), std::move(cgroups));
}

}  // namespace sextant::sandbox

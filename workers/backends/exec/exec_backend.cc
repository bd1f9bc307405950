#include "workers/backends/exec/exec_backend.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/chunk.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "workers/backends/exec/child.h"
#include "workers/backends/exec/contract.h"

namespace sextant::backends {
namespace {
namespace fs = std::filesystem;

constexpr size_t kMaxBackends = 64;
constexpr size_t kMaxNameBytes = 64;
constexpr uint64_t kMaxExecutableBytes = 256 << 20;
constexpr char kPrefix[] = "exec:";

bool IsName(const std::string& name) {
  return !name.empty() && name[0] != '.' && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
         });
}

// The last words a child said on its standard error, for a message.
std::string LastWords(const std::string& err) {
  const std::string text(absl::StripAsciiWhitespace(err));
  const size_t begin = text.size() > 500 ? text.size() - 500 : 0;
  return text.empty() ? "" : absl::StrCat("; it said: ", chunk::CleanName(text.substr(begin), 500));
}

// Runs one verb beside the worker. UNAVAILABLE: it failed.
absl::StatusOr<std::string> Ask(const fs::path& executable, const char* verb,
                                const std::string& input) {
  const absl::StatusOr<exec::ChildEnd> end = exec::RunChild({executable.string(), verb}, input, {});
  RETURN_IF_ERROR(end.status(), verb);
  if (end->exit_code != 0) {
    return absl::UnavailableError(
        end->signal != 0
            ? absl::StrCat(verb, " was ended by signal ", end->signal, LastWords(end->err))
            : absl::StrCat(verb, " exited with code ", end->exit_code, LastWords(end->err)));
  }
  return end->out;
}

std::string DigestOf(const fs::path& executable) {
  std::error_code error;
  if (fs::file_size(executable, error) > kMaxExecutableBytes || error) return "";
  std::ifstream file(executable, std::ios::binary);
  return absl::BytesToHexString(
      chunk::Digest(std::string(std::istreambuf_iterator<char>(file), {})));
}

v1::ResourceLimits CollectLimits() {
  v1::ResourceLimits limits;
  limits.set_memory_bytes(8ull << 30);
  limits.set_cpu_cores(1);
  limits.set_pids(64);
  limits.set_wall_s(300);
  limits.set_file_bytes(1ull << 30);
  limits.set_disk_bytes(4ull << 30);
  limits.set_output_bytes(64 << 20);
  limits.set_open_files(1024);
  return limits;
}

}  // namespace

ExecBackend::ExecBackend(std::string name, fs::path executable, RunInside run_inside)
    : name_(std::move(name)),
      executable_(std::move(executable)),
      run_inside_(std::move(run_inside)) {}

std::string ExecBackend::Name() const { return absl::StrCat(kPrefix, name_); }

v1::BackendOffer ExecBackend::Probe() const {
  const auto probe = [&]() -> absl::StatusOr<v1::BackendOffer> {
    ASSIGN_OR_RETURN(const std::string said, Ask(executable_, "probe", ""));
    return exec::ParseOfferUntrusted(said);
  };
  absl::StatusOr<v1::BackendOffer> asked = probe();
  v1::BackendOffer offer;
  if (asked.ok()) {
    offer = *std::move(asked);
  } else {
    offer.set_reason(absl::StrCat(executable_.string(), ": ", asked.status().message()));
  }
  offer.set_name(Name());
  offer.set_tool_digest(absl::BytesToHexString(chunk::Digest(
      absl::StrCat("exec backend 1 ", DigestOf(executable_), " ", offer.tool_digest()))));
  return offer;
}

absl::StatusOr<LaunchPlan> ExecBackend::Prepare(const v1::Assignment& assignment) const {
  if (assignment.workload().argv().empty()) {
    return absl::InvalidArgumentError("workload.argv: is empty; name the program to run");
  }
  ASSIGN_OR_RETURN(const std::string said,
                   Ask(executable_, "prepare", exec::DescribePass(assignment)), Name());
  ASSIGN_OR_RETURN(LaunchPlan plan, exec::ParsePlanUntrusted(said), Name());
  plan.mounts.push_back({executable_.parent_path().string(), exec::kInside, false});
  plan.env["SEXTANT_RESULTS"] = "/results";
  return plan;
}

absl::StatusOr<Collected> ExecBackend::Collect(const RunRecord& run) const {
  if (!run_inside_) return absl::InternalError("this worker gave its backends no sandbox");
  // Beside the results, where no program of the pass could have been before.
  const fs::path out = run.results_dir.parent_path() / "collected";
  if (mkdir(out.c_str(), 0700) != 0) return absl::ErrnoToStatus(errno, out.string());
  InsideCommand command;
  command.argv = {absl::StrCat(exec::kInside, "/", executable_.filename().string()), "collect"};
  command.mounts.push_back({executable_.parent_path().string(), exec::kInside, false});
  command.work_dir = run.results_dir;
  command.results_dir = out;
  command.stdin_text = exec::DescribeRun(run);
  command.limits = CollectLimits();
  ASSIGN_OR_RETURN(const InsideEnd end, run_inside_(command), Name(), " collect");
  if (end.exit.verdict() != v1::EXITED || end.exit.exit_code() != 0) {
    return absl::UnavailableError(absl::StrCat(
        Name(), " collect ",
        end.exit.verdict() == v1::EXITED ? absl::StrCat("exited with code ", end.exit.exit_code())
                                         : absl::StrCat("did not end well: ", end.exit.detail()),
        LastWords(end.err)));
  }
  ASSIGN_OR_RETURN(Collected collected,
                   exec::ParseCollectedUntrusted(end.out, out, run.results_dir), Name());
  if (!end.err.empty()) {
    collected.notes.push_back(
        absl::StrCat(Name(), " collect said: ", chunk::CleanName(end.err, 1000)));
  }
  if (collected.chunks.empty() && collected.tables.empty() && collected.counters.empty() &&
      collected.artifacts.empty() && collected.made.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(Name(), " made nothing of what the program left"));
  }
  return collected;
}

std::vector<std::unique_ptr<Backend>> ExecBackends(const Site& site) {
  std::vector<std::unique_ptr<Backend>> backends;
  if (site.exec_backends.empty()) return backends;
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(site.exec_backends, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_regular_file(error) && access(entry->path().c_str(), X_OK) == 0) {
      found.push_back(fs::absolute(entry->path()));
    }
  }
  std::sort(found.begin(), found.end());
  std::set<std::string> names;
  for (const fs::path& path : found) {
    std::string name = path.filename().string();
    for (const char* ending : {".py", ".sh"}) {
      if (absl::EndsWith(name, ending)) name.resize(name.size() - 3);
    }
    if (!IsName(name) || !names.insert(name).second || backends.size() == kMaxBackends) continue;
    backends.push_back(std::make_unique<ExecBackend>(name, path, site.run_inside));
  }
  return backends;
}

}  // namespace sextant::backends

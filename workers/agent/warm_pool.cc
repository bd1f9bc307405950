#include "workers/agent/warm_pool.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "spdlog/spdlog.h"
#include "workers/agent/files.h"
#include "workers/agent/log.h"

namespace sextant::agent {
namespace {

// Passes of several kinds may take turns in one task.
constexpr size_t kContainersPerDevice = 2;

// Everything that a container is started with.
std::string KeyOf(const WarmRequest& request, const sandbox::RunSpec& spec) {
  std::string key;
  const auto add = [&key](const std::string& part) { absl::StrAppend(&key, part.size(), ":", part); };
  for (const std::string& word : request.python.interpreter) add(word);
  add("");
  for (const std::string& module : request.modules) add(module);
  add("");
  for (const auto& [name, value] : request.env) add(absl::StrCat(name, "=", value));
  add(spec.rootfs.string());
  for (const sandbox::RunSpec::Mount& mount : spec.mounts) {
    add(absl::StrCat(mount.source.string(), "\n", mount.target, "\n", mount.writable));
  }
  for (const sandbox::RunSpec::Device& device : spec.devices) {
    add(absl::StrCat(device.source.string(), "\n", device.target));
  }
  add(spec.limits.SerializeAsString());
  add(spec.allow_perf_events ? "perf" : "");
  return key;
}

}  // namespace

WarmPool::WarmPool(sandbox::Sandbox& sandbox, WarmTimes times)
    : sandbox_(sandbox), times_(times), tidy_([this] { Tidy(); }) {}

WarmPool::~WarmPool() {
  std::list<std::unique_ptr<Entry>> all;
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    all = Take([](const Entry&) { return true; });
  }
  changed_.Wake();
  tidy_.join();
  End(std::move(all));
}

template <typename Which>
std::list<std::unique_ptr<WarmPool::Entry>> WarmPool::Take(const Which& which) {
  std::list<std::unique_ptr<Entry>> taken;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto here = it++;
    if (which(**here)) taken.splice(taken.end(), entries_, here);
  }
  return taken;
}

void WarmPool::End(std::list<std::unique_ptr<Entry>> entries) {
  for (std::unique_ptr<Entry>& entry : entries) {
    entry->container.reset();
    const absl::Status removed = RemoveTree(entry->directory);
    if (!removed.ok()) {
      spdlog::error("msg=\"cannot remove a warm container's directory\" error={}",
                    Quoted(removed.message()));
    }
    rmdir(entry->directory.parent_path().c_str());  // when no pass of the job is there any more
  }
}

absl::StatusOr<std::unique_ptr<sandbox::Running>> WarmPool::Start(
    const WarmRequest& request, const sandbox::RunSpec& spec, const std::function<bool()>& stopped) {
  const std::string key = KeyOf(request, spec);
  Entry* entry = nullptr;
  std::list<std::unique_ptr<Entry>> old;
  {
    absl::MutexLock lock(&mutex_);
    const auto mine = [&](const Entry& one) {
      return one.device == request.device && one.job_id == request.job_id;
    };
    old = Take([&](const Entry& one) { return mine(one) && !one.busy && !one.container->alive(); });
    size_t others = 0;
    for (const auto& one : entries_) {
      if (!mine(*one) || one->busy) continue;
      if (one->key == key) entry = one.get();
      ++others;
    }
    if (entry == nullptr && others >= kContainersPerDevice) {
      bool taken = false;  // the one that has waited longest stands first
      old.splice(old.end(), Take([&](const Entry& one) {
                   return mine(one) && !one.busy && !std::exchange(taken, true);
                 }));
    }
    if (entry != nullptr) entry->busy = true;
  }
  End(std::move(old));
  if (entry == nullptr) {
    ASSIGN_OR_RETURN(std::unique_ptr<Entry> made, Make(request, spec, key));
    made->busy = true;
    entry = made.get();
    absl::MutexLock lock(&mutex_);
    entries_.push_back(std::move(made));
  }
  absl::StatusOr<std::unique_ptr<sandbox::Running>> running = entry->container->Start(spec, stopped);
  if (!running.ok()) Release(request.device, /*last=*/false);
  return running;
}

absl::StatusOr<std::unique_ptr<WarmPool::Entry>> WarmPool::Make(const WarmRequest& request,
                                                                const sandbox::RunSpec& spec,
                                                                std::string key) {
  auto entry = std::make_unique<Entry>();
  entry->device = request.device;
  entry->job_id = request.job_id;
  entry->key = std::move(key);
  {
    absl::MutexLock lock(&mutex_);
    entry->directory = request.passes_dir / absl::StrCat("warm-", ++made_);
  }
  sandbox::WarmSpec warm;
  warm.passes_dir = request.passes_dir;
  warm.modules = request.modules;
  warm.base = spec;
  warm.base.argv = request.python.interpreter;
  warm.base.env = request.env;
  warm.base.work_dir = entry->directory / "work";
  warm.base.results_dir = entry->directory / "results";
  warm.base.stdin_text.clear();
  warm.base.stdout_path.clear();
  warm.base.stderr_path.clear();
  warm.base.name = absl::StrCat(entry->directory.filename().string(), "-job-", request.job_id);
  RETURN_IF_ERROR(MakeDirectory(entry->directory, 0711));
  RETURN_IF_ERROR(MakeDirectory(warm.base.work_dir, 0700));
  RETURN_IF_ERROR(MakeDirectory(warm.base.results_dir, 0700));
  absl::StatusOr<std::unique_ptr<sandbox::WarmContainer>> container = sandbox_.StartWarm(warm);
  if (!container.ok()) {
    RemoveTree(entry->directory).IgnoreError();
    return container.status();
  }
  entry->container = *std::move(container);
  return entry;
}

void WarmPool::Release(const std::string& device, bool last) {
  std::list<std::unique_ptr<Entry>> over;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& entry : entries_) {
      if (entry->device != device || !entry->busy) continue;
      entry->busy = false;
      entry->idle_since = std::chrono::steady_clock::now();
      over = Take([&](const Entry& one) {
        return &one == entry.get() && (last || !one.container->alive());
      });
      break;
    }
  }
  End(std::move(over));
  changed_.Wake();
}

void WarmPool::EndOthers(const std::string& device, int64_t job_id) {
  std::list<std::unique_ptr<Entry>> others;
  {
    absl::MutexLock lock(&mutex_);
    others = Take([&](const Entry& one) {
      return one.device == device && one.job_id != job_id && !one.busy;
    });
  }
  End(std::move(others));
}

void WarmPool::Tidy() {
  for (;;) {
    std::list<std::unique_ptr<Entry>> over;
    SteadyTime next = SteadyTime::max();
    {
      absl::MutexLock lock(&mutex_);
      if (closing_) return;
      const SteadyTime now = std::chrono::steady_clock::now();
      over = Take([&](const Entry& one) { return !one.busy && now >= one.idle_since + times_.idle; });
      for (const auto& entry : entries_) {
        if (!entry->busy) next = std::min(next, entry->idle_since + times_.idle);
      }
    }
    End(std::move(over));
    if (next == SteadyTime::max()) {
      changed_.Wait();
    } else {
      changed_.WaitUntil(next);
    }
  }
}

}  // namespace sextant::agent

#include "workers/sandbox/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "workers/sandbox/files.h"

namespace sextant::sandbox {
namespace {

// A fork bomb may make more than can be read in time; beyond this the limit is passed anyway.
constexpr size_t kMaxProcesses = 65536;

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

Directory Open(const std::string& path) { return Directory(opendir(path.c_str()), &closedir); }

// Children of every thread of `pid`.
void AddChildren(pid_t pid, std::vector<pid_t>& pids) {
  const std::string tasks = absl::StrCat("/proc/", pid, "/task");
  Directory directory = Open(tasks);
  if (directory == nullptr) return;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    const std::string text =
        ReadSmallFile(absl::StrCat(tasks, "/", entry->d_name, "/children"), 1 << 20);
    for (absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
      pid_t child;
      if (absl::SimpleAtoi(word, &child) && pids.size() < kMaxProcesses) pids.push_back(child);
    }
  }
}

}  // namespace

ProcessUse MeasureProcesses(pid_t root) {
  static const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  static const auto ticks_per_s = static_cast<double>(sysconf(_SC_CLK_TCK));
  ProcessUse use;
  use.pids.push_back(root);
  for (size_t i = 0; i < use.pids.size(); ++i) {
    const pid_t pid = use.pids[i];
    const std::string stat = ReadSmallFile(absl::StrCat("/proc/", pid, "/stat"));
    const size_t end = stat.rfind(')');
    if (end == std::string::npos) continue;
    const std::vector<absl::string_view> f =
        absl::StrSplit(absl::string_view(stat).substr(end + 1), ' ', absl::SkipEmpty());
    if (f.size() < 22) continue;
    // proc(5) numbers fields from 1 and two stand before f[0]: utime is 14, so f[11].
    auto number = [&](size_t index) {
      uint64_t value = 0;
      (void)absl::SimpleAtoi(f[index], &value);
      return value;
    };
    use.cpu_s += static_cast<double>(number(11) + number(12) + number(13) + number(14)) /
                 ticks_per_s;
    use.resident_bytes += number(21) * page_bytes;
    if (i > 0) use.threads += number(17);
    AddChildren(pid, use.pids);
  }
  return use;
}

uint64_t ProportionalBytes(const std::vector<pid_t>& pids) {
  uint64_t kib = 0;
  for (pid_t pid : pids) {
    const std::string text = ReadSmallFile(absl::StrCat("/proc/", pid, "/smaps_rollup"));
    const size_t at = text.find("\nPss:");
    if (at != std::string::npos) kib += strtoull(text.c_str() + at + 5, nullptr, 10);
  }
  return kib * 1024;
}

uint64_t NamelessBytes(const std::vector<pid_t>& pids) {
  std::set<std::pair<dev_t, ino_t>> seen;
  uint64_t bytes = 0;
  for (pid_t pid : pids) {
    const std::string path = absl::StrCat("/proc/", pid, "/fd");
    Directory directory = Open(path);
    if (directory == nullptr) continue;
    while (const dirent* entry = readdir(directory.get())) {
      struct stat st;
      if (entry->d_name[0] == '.' ||
          fstatat(dirfd(directory.get()), entry->d_name, &st, 0) != 0 || !S_ISREG(st.st_mode) ||
          st.st_nlink != 0 || !seen.emplace(st.st_dev, st.st_ino).second) {
        continue;
      }
      bytes += static_cast<uint64_t>(st.st_blocks) * 512;
    }
  }
  return bytes;
}

}  // namespace sextant::sandbox

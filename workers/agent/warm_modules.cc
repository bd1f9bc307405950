#include "workers/agent/warm_modules.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "workers/agent/files.h"

namespace sextant::agent {
namespace {

constexpr std::array<absl::string_view, 7> kFrameworks = {"numpy",  "pandas", "scipy",      "sklearn",
                                                          "torch", "triton", "torchvision"};
constexpr int kMaxFiles = 256;
constexpr uint64_t kMaxFileBytes = 1 << 20;
constexpr size_t kMaxModules = 64;

bool IsModuleName(absl::string_view name) {
  if (name.empty() || name.size() > 256 || name.front() == '.' || name.back() == '.' ||
      absl::StrContains(name, "..")) {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
  });
}

// The first word: "torch.nn" of "torch.nn as nn".
absl::string_view FirstWord(absl::string_view text) {
  text = absl::StripLeadingAsciiWhitespace(text);
  return text.substr(0, std::min(text.find_first_of(" \t,;#\\"), text.size()));
}

void AddFramework(absl::string_view name, std::vector<std::string>& out) {
  const absl::string_view root = name.substr(0, name.find('.'));
  if (!IsModuleName(name) || std::find(kFrameworks.begin(), kFrameworks.end(), root) == kFrameworks.end()) return;
  out.emplace_back(name);
}

}  // namespace

std::vector<std::string> ImportsOf(std::string_view python) {
  std::vector<std::string> modules;
  for (absl::string_view line : absl::StrSplit(absl::string_view(python.data(), python.size()), '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (absl::ConsumePrefix(&line, "import ")) {
      for (const absl::string_view part : absl::StrSplit(line, ',')) AddFramework(FirstWord(part), modules);
    } else if (absl::ConsumePrefix(&line, "from ") && absl::StrContains(line, " import")) {
      AddFramework(FirstWord(line), modules);
    }
  }
  return modules;
}

std::vector<std::string> FindModules(const v1::Workload& workload,
                                     const std::filesystem::path& work_dir) {
  std::set<std::string> found;
  const absl::StatusOr<Fd> work = OpenDirectory(work_dir);
  if (!work.ok()) return {};
  int files = 0;
  for (const v1::File& file : workload.files()) {
    if (!absl::EndsWith(file.path(), ".py") || ++files > kMaxFiles) continue;
    const absl::StatusOr<Fd> fd = OpenRegularBeneath(work->get(), file.path());
    if (!fd.ok()) continue;
    const absl::StatusOr<uint64_t> size = SizeOf(fd->get());
    if (!size.ok() || *size > kMaxFileBytes) continue;
    std::string text;
    const absl::Status read = ReadPieces(fd->get(), 0, *size, [&text](std::string_view piece) {
      text.append(piece);
      return absl::OkStatus();
    });
    if (!read.ok()) continue;
    for (std::string& module : ImportsOf(text)) {
      if (found.size() < kMaxModules) found.insert(std::move(module));
    }
  }
  return {found.begin(), found.end()};
}

absl::StatusOr<std::vector<std::string>> ParseModules(std::string_view option) {
  std::vector<std::string> modules;
  for (const absl::string_view name : absl::StrSplit(absl::string_view(option.data(), option.size()), '+')) {
    if (!IsModuleName(name) || modules.size() >= kMaxModules) {
      return absl::InvalidArgumentError(absl::StrCat(
          "options[\"", kWarmOption, "\"]: \"", name, "\" is no name of a Python module (at most ",
          kMaxModules, ", joined by +), nor 0 (start every pass cold) or 1 (find them)"));
    }
    modules.emplace_back(name);
  }
  return modules;
}

}  // namespace sextant::agent

#include "client/cli/replay.h"

#include <algorithm>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/text.h"
#include "proto/status/status.h"

namespace sextant::cli {
namespace fs = std::filesystem;
namespace {

absl::StatusOr<std::vector<fs::path>> FindRecordings(const std::string& named) {
  std::error_code error;
  if (fs::is_regular_file(named, error)) return std::vector<fs::path>{named};
  if (const std::string with_ending = absl::StrCat(named, kRecordingEnding);
      fs::is_regular_file(with_ending, error)) {
    return std::vector<fs::path>{with_ending};
  }
  if (!fs::is_directory(named, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--pass replay: ", Escape(named), " is neither a recording nor a directory"));
  }
  std::vector<fs::path> found;
  for (fs::directory_iterator entry(named, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == kRecordingEnding && entry->is_regular_file(error)) {
      found.push_back(entry->path());
    }
  }
  if (error) {
    return absl::InvalidArgumentError(absl::StrCat("--pass replay: directory ", Escape(named),
                                                   " cannot be read: ", error.message()));
  }
  if (found.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--pass replay: directory ", Escape(named),
                                                   " holds no recording (*", kRecordingEnding,
                                                   ")"));
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

absl::StatusOr<std::vector<v1::PassSpec>> AddRecordings(const v1::PassSpec& spec, Bundle& bundle) {
  const std::string& named = spec.options().at(kRecordingOption);
  ASSIGN_OR_RETURN(std::vector<fs::path> found, FindRecordings(named));
  if (spec.repeat() > found.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--pass replay: ", spec.repeat(), " passes are asked for, ", Escape(named),
                     " holds ", Plural(found.size(), "recording", "recordings"), "; leave *",
                     spec.repeat(), " out to play what there is"));
  }
  if (spec.repeat() > 0) found.resize(spec.repeat());
  std::vector<v1::PassSpec> passes;
  for (const fs::path& recording : found) {
    const std::string folder =
        fs::absolute(recording).lexically_normal().parent_path().filename().string();
    const std::string path = (fs::path("recordings") / folder / recording.filename()).string();
    RETURN_IF_ERROR(bundle.AddFile(recording.string(), path));
    v1::PassSpec& pass = passes.emplace_back();
    pass.set_backend(kReplay);
    pass.set_repeat(1);
    (*pass.mutable_options())[kRecordingOption] = path;
  }
  return passes;
}

}  // namespace sextant::cli

// A file that a command fetches from the service.
#pragma once

#include <fstream>
#include <memory>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/context.h"

namespace sextant::cli {

// Written beside the name asked for and renamed when whole, so that a broken transfer leaves no half
// file under it. Owns the file under way; without Finish it is removed.
class OutputFile {
 public:
  // `path` empty or "-": `standard`. INVALID_ARGUMENT: it cannot be written.
  static absl::StatusOr<std::unique_ptr<OutputFile>> Open(const std::string& path,
                                                          std::ostream& standard);
  ~OutputFile();

  absl::Status Write(absl::string_view data);
  absl::Status Finish();

  bool to_file() const { return to_file_; }
  uint64_t bytes() const { return bytes_; }

 private:
  OutputFile(std::string path, std::ostream& standard, bool to_file)
      : path_(std::move(path)), standard_(standard), to_file_(to_file) {}
  std::string PartialPath() const { return path_ + ".part"; }
  std::ostream& out() { return to_file_ ? static_cast<std::ostream&>(file_) : standard_; }

  const std::string path_;
  std::ostream& standard_;
  const bool to_file_;
  std::ofstream file_;
  uint64_t bytes_ = 0;
  bool finished_ = false;
};

// The blob with that (raw) digest, whole or not at all. DATA_LOSS: what came is another.
absl::Status FetchBlob(Context& context, const std::string& digest, OutputFile& file);

}  // namespace sextant::cli

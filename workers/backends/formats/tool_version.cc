#include "workers/backends/formats/tool_version.h"

#include <sys/stat.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/chunk.h"

namespace sextant::backends::formats {

std::string ToolDigest(const std::string& what, const std::filesystem::path& program) {
  struct stat about = {};
  stat(program.c_str(), &about);
  return absl::BytesToHexString(chunk::Digest(
      absl::StrCat(what, " ", program.string(), " ", about.st_size, " ", about.st_mtim.tv_sec)));
}

}  // namespace sextant::backends::formats

#include "workers/sandbox/user.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sextant::sandbox {

absl::StatusOr<std::optional<Owner>> FindUser(const std::string& name) {
  if (geteuid() != 0 || name.empty()) return std::nullopt;
  std::vector<char> buffer(16 << 10);
  passwd entry, *found = nullptr;
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr || found->pw_uid == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("unprivileged_user \"", name,
                     "\" is not an ordinary user of this machine; create it (useradd --system ",
                     name, ") or name another"));
  }
  return Owner{found->pw_uid, found->pw_gid};
}

bool CanReach(const std::filesystem::path& path, const Owner& user) {
  for (std::filesystem::path at = path.parent_path(); !at.empty(); at = at.parent_path()) {
    struct stat st;
    if (stat(at.c_str(), &st) != 0) return false;
    const mode_t bit = st.st_uid == user.uid ? S_IXUSR : st.st_gid == user.gid ? S_IXGRP : S_IXOTH;
    if ((st.st_mode & bit) == 0) return false;
    if (at == at.root_path()) break;
  }
  return true;
}

}  // namespace sextant::sandbox

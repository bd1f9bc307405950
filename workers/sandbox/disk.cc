#include "workers/sandbox/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sextant::sandbox {
namespace {

void Give(int directory, const char* name, const struct stat& st, const Owner& owner) {
  if (st.st_uid == owner.uid && st.st_gid == owner.gid) return;
  (void)!fchownat(directory, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW);
}

// Takes over `fd`.
void Walk(int fd, int depth, const std::optional<Owner>& owner, DiskUse& use) {
  std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(fd), &closedir);
  if (directory == nullptr) {
    close(fd);
    return;
  }
  if (depth > kMaxDepth) {
    use.too_deep = true;
    return;
  }
  while (const dirent* entry = readdir(directory.get())) {
    const char* name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
    struct stat st;
    if (fstatat(dirfd(directory.get()), name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    use.bytes += static_cast<uint64_t>(st.st_blocks) * 512;
    ++use.files;
    if (owner.has_value()) Give(dirfd(directory.get()), name, st, *owner);
    if (!S_ISDIR(st.st_mode)) continue;
    const int child = openat(dirfd(directory.get()), name,
                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child >= 0) Walk(child, depth + 1, owner, use);
  }
}

}  // namespace

absl::StatusOr<DiskUse> MeasureDisk(const std::filesystem::path& directory,
                                    std::optional<Owner> owner) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return absl::NotFoundError(
        absl::StrCat("directory ", directory.string(), ": ", strerror(errno)));
  }
  struct stat st;
  if (owner.has_value() && fstat(fd, &st) == 0 &&
      (st.st_uid != owner->uid || st.st_gid != owner->gid)) {
    (void)!fchown(fd, owner->uid, owner->gid);
  }
  DiskUse use;
  Walk(fd, 0, owner, use);
  return use;
}

}  // namespace sextant::sandbox

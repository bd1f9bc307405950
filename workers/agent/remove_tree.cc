#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/agent/files.h"

namespace sextant::agent {
namespace {

// Clears what chattr may have set; only root can have set it, and only root can clear it.
void ClearImmutable(int directory, const char* name) {
  Fd fd(openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  int flags = 0;
  if (!fd.ok() || ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) return;
  flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
  ioctl(fd.get(), FS_IOC_SETFLAGS, &flags);
}

// Makes the directory readable and writable for its owner, and never anything a link points to.
void OpenUp(int directory, const char* name) {
  Fd fd(openat(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.ok()) return;
  const std::string self = absl::StrCat("/proc/self/fd/", fd.get());
  chmod(self.c_str(), 0700);
}

bool IsDirectory(int directory, const char* name) {
  struct stat facts;
  return fstatat(directory, name, &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(facts.st_mode);
}

std::vector<std::string> Names(int directory) {
  std::vector<std::string> names;
  Fd copy(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy.ok()) return names;
  std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(copy.get()), &closedir);
  if (!stream) return names;
  copy.Release();
  while (const dirent* entry = readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

// Empties directory `name` of `top`: files go, directories move up into `top` under fresh names,
// so that depth never matters.
absl::Status Flatten(int top, const std::string& name, uint64_t* fresh) {
  OpenUp(top, name.c_str());
  Fd fd(openat(top, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus(errno, name);
  for (const std::string& entry : Names(fd.get())) {
    for (int attempt = 0;; ++attempt) {
      int failed;
      if (IsDirectory(fd.get(), entry.c_str())) {
        OpenUp(fd.get(), entry.c_str());
        failed = renameat(fd.get(), entry.c_str(), top, absl::StrCat("~", (*fresh)++).c_str());
        if (failed && errno == EEXIST) continue;
        if (failed && errno == ENOTEMPTY) continue;
      } else {
        failed = unlinkat(fd.get(), entry.c_str(), 0);
      }
      if (!failed || errno == ENOENT) break;
      if (attempt > 0 || (errno != EPERM && errno != EACCES)) return ErrnoStatus(errno, entry);
      ClearImmutable(top, name.c_str());
      ClearImmutable(fd.get(), entry.c_str());
    }
  }
  if (unlinkat(top, name.c_str(), AT_REMOVEDIR) != 0) return ErrnoStatus(errno, name);
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveTree(const std::filesystem::path& path) {
  struct stat facts;
  if (lstat(path.c_str(), &facts) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, path.string());
  }
  if (!S_ISDIR(facts.st_mode)) {
    return unlink(path.c_str()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, path.string());
  }
  OpenUp(AT_FDCWD, path.c_str());
  ASSIGN_OR_RETURN(Fd top, OpenDirectory(path));
  uint64_t fresh = 0;
  for (std::vector<std::string> names = Names(top.get()); !names.empty();
       names = Names(top.get())) {
    for (const std::string& name : names) {
      if (IsDirectory(top.get(), name.c_str())) {
        RETURN_IF_ERROR(Flatten(top.get(), name, &fresh), "removing ", path.string());
      } else if (unlinkat(top.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
        ClearImmutable(top.get(), name.c_str());
        if (unlinkat(top.get(), name.c_str(), 0) != 0) {
          return ErrnoStatus(errno, absl::StrCat("removing ", path.string(), "/", name));
        }
      }
    }
  }
  if (rmdir(path.c_str()) != 0) return ErrnoStatus(errno, absl::StrCat("removing ", path.string()));
  return absl::OkStatus();
}

}  // namespace sextant::agent

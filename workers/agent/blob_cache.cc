#include "workers/agent/blob_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/agent/digest.h"

namespace sextant::agent {

BlobCache::BlobCache(std::filesystem::path directory, uint64_t max_bytes, Source source)
    : directory_(std::move(directory)), max_bytes_(max_bytes), source_(std::move(source)) {}

absl::Status BlobCache::Open() {
  RETURN_IF_ERROR(MakeDirectory(directory_, 0700), "blob cache");
  struct Found {
    std::filesystem::file_time_type used;
    std::string name;
    uint64_t size_bytes;
  };
  std::vector<Found> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    const std::string name = entry.path().filename();
    if (name.size() != 64) {  // a fetch that was cut short
      std::filesystem::remove(entry.path(), error);
      continue;
    }
    found.push_back({entry.last_write_time(error), name, entry.file_size(error)});
  }
  std::sort(found.begin(), found.end(),
            [](const Found& a, const Found& b) { return a.used < b.used; });
  {
    absl::MutexLock lock(&mutex_);
    for (const Found& blob : found) Enter(blob.name, blob.size_bytes, /*verified=*/false);
  }
  Trim("");
  return absl::OkStatus();
}

absl::Status BlobCache::Place(const v1::File& file, int directory) {
  if (file.digest().size() != 32) {
    return absl::InvalidArgumentError(absl::StrCat(file.path(), ": digest is not 32 bytes"));
  }
  ASSIGN_OR_RETURN(Fd from, Get(file), file.path());
  RETURN_IF_ERROR(MakeParentsBeneath(directory, file.path()));
  ASSIGN_OR_RETURN(Fd to, OpenBeneath(directory, file.path(), O_WRONLY | O_CREAT | O_EXCL, 0600));
  RETURN_IF_ERROR(CopyAll(from.get(), to.get()), file.path());
  // Permission bits alone: a workload cannot ask for set-user-id.
  const mode_t mode = file.mode() == 0 ? 0644 : (file.mode() & 0777);
  if (fchmod(to.get(), mode) != 0) return ErrnoStatus(errno, file.path());
  return absl::OkStatus();
}

uint64_t BlobCache::size_bytes() const {
  absl::MutexLock lock(&mutex_);
  return size_bytes_;
}

absl::StatusOr<Fd> BlobCache::Get(const v1::File& file) {
  const std::string name = Hex(file.digest());
  for (;;) {
    Fd fd;
    if (Reuse(file, &fd)) return fd;
    {
      absl::MutexLock lock(&mutex_);
      if (!being_fetched_.insert(name).second) {
        auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
          return being_fetched_.count(name) == 0;
        };
        mutex_.Await(absl::Condition(&there));
        continue;
      }
    }
    absl::StatusOr<Fd> fetched = Fetch(file);
    {
      absl::MutexLock lock(&mutex_);
      being_fetched_.erase(name);
      if (fetched.ok()) Enter(name, file.size_bytes(), /*verified=*/true);
    }
    if (fetched.ok()) Trim(name);
    return fetched;
  }
}

bool BlobCache::Reuse(const v1::File& file, Fd* fd) {
  const std::string name = Hex(file.digest());
  bool verified = false;
  {
    absl::MutexLock lock(&mutex_);
    auto it = kept_.find(name);
    if (it == kept_.end()) return false;
    ages_.splice(ages_.end(), ages_, it->second.age);
    verified = it->second.verified;
  }
  const std::filesystem::path path = directory_ / name;
  *fd = Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  bool good = fd->ok();
  if (good && !verified) {
    // A power cut may have left less than was written.
    Sha256 sha;
    absl::StatusOr<uint64_t> size = SizeOf(fd->get());
    good = size.ok() && ReadPieces(fd->get(), 0, *size, [&sha](std::string_view piece) {
                          sha.Update(piece);
                          return absl::OkStatus();
                        }).ok();
    good = good && sha.Finish() == file.digest();
  }
  if (good) utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
  absl::MutexLock lock(&mutex_);
  auto it = kept_.find(name);
  if (good && it != kept_.end()) it->second.verified = true;
  if (!good && it != kept_.end()) Forget(name);
  return good;
}

absl::StatusOr<Fd> BlobCache::Fetch(const v1::File& file) {
  const std::string name = Hex(file.digest());
  const std::filesystem::path coming = directory_ / (name + ".coming");
  Fd fd(open(coming.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.ok()) return ErrnoStatus(errno, "blob cache");
  Sha256 sha;
  uint64_t size = 0;
  absl::Status status = source_(file.digest(), [&](absl::string_view piece) -> absl::Status {
    const std::string_view bytes(piece.data(), piece.size());
    size += bytes.size();
    if (size > file.size_bytes()) {
      return absl::DataLossError(absl::StrCat("longer than size_bytes ", file.size_bytes()));
    }
    sha.Update(bytes);
    return WriteAll(fd.get(), bytes);
  });
  if (status.ok() && (size != file.size_bytes() || sha.Finish() != file.digest())) {
    status = absl::DataLossError(
        absl::StrCat(size, " bytes came whose digest is not ", name, " of ", file.size_bytes()));
  }
  if (status.ok() && rename(coming.c_str(), (directory_ / name).c_str()) != 0) {
    status = ErrnoStatus(errno, "blob cache");
  }
  if (!status.ok()) {
    unlink(coming.c_str());
    return status;
  }
  return fd;
}

void BlobCache::Enter(const std::string& name, uint64_t size_bytes, bool verified) {
  if (kept_.count(name)) Forget(name);
  Kept kept;
  kept.size_bytes = size_bytes;
  kept.verified = verified;
  kept.age = ages_.insert(ages_.end(), name);
  kept_.emplace(name, kept);
  size_bytes_ += size_bytes;
}

void BlobCache::Forget(const std::string& name) {
  auto it = kept_.find(name);
  size_bytes_ -= it->second.size_bytes;
  ages_.erase(it->second.age);
  kept_.erase(it);
}

void BlobCache::Trim(const std::string& spare) {
  std::vector<std::string> gone;
  {
    absl::MutexLock lock(&mutex_);
    while (size_bytes_ > max_bytes_ && !ages_.empty() && ages_.front() != spare) {
      gone.push_back(ages_.front());
      Forget(ages_.front());
    }
  }
  // A pass that copies one of these at the moment holds it open.
  for (const std::string& name : gone) unlink((directory_ / name).c_str());
}

}  // namespace sextant::agent

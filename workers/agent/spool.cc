#include "workers/agent/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/agent/digest.h"

namespace sextant::agent {
namespace {

constexpr std::string_view kMagic = "SEXTANT SPOOL 1\n";
constexpr size_t kHeadBytes = 9;
constexpr size_t kDigestBytes = 32;

std::string Head(char type, uint64_t length) {
  std::string head(1, type);
  for (int i = 0; i < 8; ++i) head.push_back(static_cast<char>(length >> (8 * i)));
  return head;
}

absl::StatusOr<std::string> ReadString(int fd, uint64_t offset, uint64_t length) {
  std::string content;
  content.reserve(length);
  RETURN_IF_ERROR(ReadPieces(fd, offset, length, [&content](std::string_view piece) {
    content.append(piece);
    return absl::OkStatus();
  }));
  return content;
}

}  // namespace

std::string AttemptName(const v1::PassRef& pass) {
  return absl::StrCat(pass.pass_id(), "-", pass.epoch());
}

void SpoolEntry::Remove() {
  if (!path.empty()) unlink(path.c_str());
  path.clear();
}

absl::StatusOr<std::unique_ptr<SpoolWriter>> SpoolWriter::Create(const std::filesystem::path& spool,
                                                                 const v1::PassRef& pass) {
  const std::string name = AttemptName(pass);
  Fd file(open((spool / (name + ".coming")).c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.ok()) return ErrnoStatus(errno, "spool");
  std::unique_ptr<SpoolWriter> writer(new SpoolWriter(spool, name, std::move(file)));
  RETURN_IF_ERROR(WriteAll(writer->file_.get(), kMagic), "spool");
  writer->offset_ = kMagic.size();
  return writer;
}

SpoolWriter::SpoolWriter(std::filesystem::path spool, std::string name, Fd file)
    : spool_(std::move(spool)), name_(std::move(name)), file_(std::move(file)) {}

SpoolWriter::~SpoolWriter() {
  if (!finished_) unlink((spool_ / (name_ + ".coming")).c_str());
}

absl::Status SpoolWriter::Begin(char type, uint64_t length) {
  RETURN_IF_ERROR(WriteAll(file_.get(), Head(type, length)), "spool");
  offset_ += kHeadBytes;
  return absl::OkStatus();
}

absl::StatusOr<BlobRange> SpoolWriter::End(uint64_t length, std::string digest) {
  RETURN_IF_ERROR(WriteAll(file_.get(), digest), "spool");
  BlobRange range{std::move(digest), file_.get(), offset_, length};
  offset_ += length + kDigestBytes;
  return range;
}

absl::StatusOr<BlobRange> SpoolWriter::Add(char type, std::string_view content) {
  RETURN_IF_ERROR(Begin(type, content.size()));
  RETURN_IF_ERROR(WriteAll(file_.get(), content), "spool");
  return End(content.size(), Digest(content));
}

absl::Status SpoolWriter::AddChunk(absl::string_view chunk) {
  ASSIGN_OR_RETURN(BlobRange range, Add('C', std::string_view(chunk.data(), chunk.size())));
  chunks_.push_back(std::move(range));
  return absl::OkStatus();
}

absl::Status SpoolWriter::AddBlob(int fd, v1::Artifact* artifact) {
  ASSIGN_OR_RETURN(const uint64_t size, SizeOf(fd));
  RETURN_IF_ERROR(Begin('B', size));
  Sha256 sha;
  const absl::Status copied = ReadPieces(fd, 0, size, [&](std::string_view piece) {
    sha.Update(piece);
    return WriteAll(file_.get(), piece);
  });
  if (absl::IsResourceExhausted(copied)) return WithContext(copied, "spool");
  if (!copied.ok()) return absl::InternalError(absl::StrCat("spool: ", copied.message()));
  ASSIGN_OR_RETURN(BlobRange range, End(size, sha.Finish()));
  artifact->set_digest(range.digest);
  artifact->set_size_bytes(size);
  blobs_.push_back(std::move(range));
  return absl::OkStatus();
}

absl::Status SpoolWriter::AddBlob(std::string_view content, v1::Artifact* artifact) {
  ASSIGN_OR_RETURN(BlobRange range, Add('B', content));
  artifact->set_digest(range.digest);
  artifact->set_size_bytes(content.size());
  blobs_.push_back(std::move(range));
  return absl::OkStatus();
}

std::string SpoolWriter::TraceDigest() const {
  if (chunks_.empty()) return "";
  Sha256 sha;
  for (const BlobRange& chunk : chunks_) sha.Update(chunk.digest);
  return sha.Finish();
}

absl::StatusOr<SpoolEntry> SpoolWriter::Finish(v1::PassCommit commit) {
  RETURN_IF_ERROR(Add('R', commit.SerializeAsString()).status());
  if (fdatasync(file_.get()) != 0) return ErrnoStatus(errno, "spool");
  const std::filesystem::path coming = spool_ / (name_ + ".coming");
  SpoolEntry entry;
  entry.path = spool_ / name_;
  if (rename(coming.c_str(), entry.path.c_str()) != 0) return ErrnoStatus(errno, "spool");
  finished_ = true;
  RETURN_IF_ERROR(SyncDirectory(spool_), "spool");
  entry.commit = std::move(commit);
  entry.file = std::move(file_);
  entry.chunks = std::move(chunks_);
  entry.blobs = std::move(blobs_);
  return entry;
}

absl::StatusOr<SpoolEntry> LoadSpoolEntry(const std::filesystem::path& path) {
  SpoolEntry entry;
  entry.path = path;
  entry.file = Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!entry.file.ok()) return ErrnoStatus(errno, path.string());
  const int fd = entry.file.get();
  ASSIGN_OR_RETURN(const uint64_t size, SizeOf(fd));
  const auto broken = [&path](uint64_t offset) {
    return absl::DataLossError(absl::StrCat(path.string(), ": not a whole entry at ", offset));
  };
  if (size < kMagic.size()) return broken(0);
  ASSIGN_OR_RETURN(const std::string magic, ReadString(fd, 0, kMagic.size()));
  if (magic != kMagic) return broken(0);
  uint64_t offset = kMagic.size();
  while (offset < size) {
    if (size - offset < kHeadBytes + kDigestBytes) return broken(offset);
    ASSIGN_OR_RETURN(const std::string head, ReadString(fd, offset, kHeadBytes));
    uint64_t length = 0;
    for (int i = 0; i < 8; ++i) {
      length |= static_cast<uint64_t>(static_cast<unsigned char>(head[1 + i])) << (8 * i);
    }
    if (length > size - offset - kHeadBytes - kDigestBytes) return broken(offset);
    offset += kHeadBytes;
    ASSIGN_OR_RETURN(std::string digest, ReadString(fd, offset + length, kDigestBytes));
    BlobRange range{std::move(digest), fd, offset, length};
    offset += length + kDigestBytes;
    if (head[0] == 'C') {
      entry.chunks.push_back(std::move(range));
    } else if (head[0] == 'B') {
      entry.blobs.push_back(std::move(range));
    } else if (head[0] == 'R' && offset == size) {
      ASSIGN_OR_RETURN(const std::string commit, ReadString(fd, range.offset, length));
      if (Digest(commit) != range.digest || !entry.commit.ParseFromString(commit)) {
        return broken(range.offset);
      }
      return entry;
    } else {
      return broken(offset);
    }
  }
  return broken(offset);
}

std::vector<SpoolEntry> LoadSpool(const std::filesystem::path& spool,
                                  std::vector<std::string>* bad) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(spool, error)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<SpoolEntry> entries;
  for (const std::filesystem::path& path : paths) {
    absl::StatusOr<SpoolEntry> entry = path.extension() == ".coming"
                                           ? absl::DataLossError("never finished")
                                           : LoadSpoolEntry(path);
    if (entry.ok()) {
      entries.push_back(*std::move(entry));
    } else {
      bad->push_back(absl::StrCat(path.filename().string(), ": ", entry.status().message()));
      std::filesystem::remove(path, error);
    }
  }
  return entries;
}

}  // namespace sextant::agent

#include "workers/agent/recording.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"
#include "workers/agent/files.h"

namespace sextant::agent {
namespace {

constexpr std::string_view kMagic = "sxrec 1\n";
constexpr char kResults[] = "results/";
constexpr int kLevel = 12;  // recordings are kept in source trees
constexpr size_t kPieceBytes = 256 << 10;
constexpr int kMaxWindowLog = 27;  // 128 MiB: what a reader may be made to allocate

// Bytes in, one zstd frame out to a file. One thread.
class FrameWriter {
 public:
  explicit FrameWriter(int fd) : fd_(fd), stream_(ZSTD_createCCtx(), &ZSTD_freeCCtx) {
    ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_checksumFlag, 1);
  }

  absl::Status Write(std::string_view bytes) { return Push(bytes, ZSTD_e_continue); }
  absl::Status Finish() { return Push({}, ZSTD_e_end); }

 private:
  absl::Status Push(std::string_view bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out = {buffer_.data(), buffer_.size(), 0};
      const size_t left = ZSTD_compressStream2(stream_.get(), &out, &in, directive);
      if (ZSTD_isError(left)) return absl::InternalError(ZSTD_getErrorName(left));
      RETURN_IF_ERROR(WriteAll(fd_, {buffer_.data(), out.pos}));
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) return absl::OkStatus();
    }
  }

  const int fd_;
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> stream_;
  std::vector<char> buffer_ = std::vector<char>(kPieceBytes);
};

// The content of the one zstd frame that follows in a file. One thread.
class FrameReader {
 public:
  explicit FrameReader(int fd) : fd_(fd), stream_(ZSTD_createDCtx(), &ZSTD_freeDCtx) {
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  }

  // Exactly `bytes`. DATA_LOSS: the frame is damaged or ends before.
  absl::Status Read(char* to, size_t bytes) {
    ZSTD_outBuffer out = {to, bytes, 0};
    while (out.pos < out.size) {
      if (ended_) return Damaged("ends too early");
      RETURN_IF_ERROR(Step(out));
    }
    return absl::OkStatus();
  }

  // The frame must end here, and the file with it.
  absl::Status End() {
    char spare;
    while (!ended_) {
      ZSTD_outBuffer out = {&spare, 1, 0};
      RETURN_IF_ERROR(Step(out));
      if (out.pos > 0) return Damaged("holds more than its files");
    }
    char beyond;
    if (in_.pos < in_.size || read(fd_, &beyond, 1) > 0)
      return Damaged("is followed by other bytes");
    return absl::OkStatus();
  }

 private:
  static absl::Status Damaged(std::string_view how) {
    return absl::DataLossError(absl::StrCat("the recording ", std::string(how)));
  }

  absl::Status Step(ZSTD_outBuffer& out) {
    if (in_.pos == in_.size && !flushing_) {
      ssize_t n;
      do {
        n = read(fd_, buffer_.data(), buffer_.size());
      } while (n < 0 && errno == EINTR);
      if (n < 0) return ErrnoStatus(errno, "reading the recording");
      if (n == 0) return Damaged("ends too early");
      in_ = {buffer_.data(), static_cast<size_t>(n), 0};
    }
    const size_t left = ZSTD_decompressStream(stream_.get(), &out, &in_);
    if (ZSTD_isError(left)) return Damaged(absl::StrCat("is damaged: ", ZSTD_getErrorName(left)));
    ended_ = left == 0;
    flushing_ = out.pos == out.size;  // there may be more without more input
    return absl::OkStatus();
  }

  const int fd_;
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> stream_;
  std::vector<char> buffer_ = std::vector<char>(kPieceBytes);
  ZSTD_inBuffer in_ = {nullptr, 0, 0};
  bool flushing_ = false;
  bool ended_ = false;
};

std::string Shown(const std::string& path) { return chunk::CleanName(path, 200); }

// The regular files beneath `root` that a pass left, by name: the order of a directory is
// accidental.
absl::Status ListFiles(const std::filesystem::path& root, v1::Recording* recording) {
  std::vector<std::string> paths = {"stdout", "stderr"};
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(root / "results", error), end;
  for (; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (!entry->is_regular_file(ignored) || entry->is_symlink(ignored)) continue;
    if (paths.size() > kMaxRecordedFiles) {
      return absl::OutOfRangeError(absl::StrCat("the pass left more than ", kMaxRecordedFiles,
                                                " files (kMaxRecordedFiles)"));
    }
    paths.push_back(entry->path().lexically_relative(root).string());
  }
  if (error) return absl::InternalError(absl::StrCat("results: ", error.message()));
  std::sort(paths.begin(), paths.end());
  ASSIGN_OR_RETURN(const Fd directory, OpenDirectory(root));
  uint64_t total = 0;
  for (const std::string& path : paths) {
    absl::StatusOr<Fd> file = OpenRegularBeneath(directory.get(), path);
    if (absl::IsNotFound(file.status())) continue;
    RETURN_IF_ERROR(file.status());
    ASSIGN_OR_RETURN(const uint64_t size, SizeOf(file->get()));
    total += size;
    if (total > kMaxRecordedBytes) {
      return absl::OutOfRangeError(absl::StrCat("the pass left more than ", kMaxRecordedBytes,
                                                " bytes (kMaxRecordedBytes)"));
    }
    v1::RecordedFile& listed = *recording->add_files();
    listed.set_path(path);
    listed.set_size_bytes(size);
  }
  return absl::OkStatus();
}

absl::Status WriteFrame(const v1::Recording& recording, const std::filesystem::path& root, int fd) {
  RETURN_IF_ERROR(WriteAll(fd, kMagic));
  FrameWriter frame(fd);
  const std::string header = recording.SerializeAsString();
  if (header.size() > kMaxRecordingHeaderBytes) {
    return absl::OutOfRangeError(absl::StrCat("the list of files has ", header.size(),
                                              " bytes, more than ", kMaxRecordingHeaderBytes,
                                              " (kMaxRecordingHeaderBytes)"));
  }
  char length[4];
  for (int i = 0; i < 4; ++i) length[i] = static_cast<char>(header.size() >> (8 * i));
  RETURN_IF_ERROR(frame.Write({length, sizeof length}));
  RETURN_IF_ERROR(frame.Write(header));
  ASSIGN_OR_RETURN(const Fd directory, OpenDirectory(root));
  for (const v1::RecordedFile& listed : recording.files()) {
    ASSIGN_OR_RETURN(const Fd file, OpenRegularBeneath(directory.get(), listed.path()));
    RETURN_IF_ERROR(ReadPieces(file.get(), 0, listed.size_bytes(),
                               [&](std::string_view piece) { return frame.Write(piece); }),
                    Shown(listed.path()));
  }
  return frame.Finish();
}

absl::Status CheckPath(const std::string& path) {
  bool ours = path == "stdout" || path == "stderr" || absl::StartsWith(path, kResults);
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    ours = ours && !part.empty() && part != "." && part != "..";
  }
  if (ours && path.find('\0') == std::string::npos && path.size() < 4096) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the recording names a file \"", Shown(path),
                                                 "\"; it may only hold results/…, stdout, stderr"));
}

absl::Status UnpackFile(const v1::RecordedFile& listed, int directory, FrameReader& frame) {
  RETURN_IF_ERROR(CheckPath(listed.path()));
  RETURN_IF_ERROR(MakeParentsBeneath(directory, listed.path()));
  ASSIGN_OR_RETURN(const Fd file,
                   OpenBeneath(directory, listed.path(), O_WRONLY | O_CREAT | O_EXCL, 0644));
  std::vector<char> piece(kPieceBytes);
  for (uint64_t left = listed.size_bytes(); left > 0;) {
    const size_t n = std::min<uint64_t>(left, piece.size());
    RETURN_IF_ERROR(frame.Read(piece.data(), n));
    RETURN_IF_ERROR(WriteAll(file.get(), {piece.data(), n}));
    left -= n;
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Recording> ReadHeader(int fd, FrameReader& frame) {
  unsigned char length[4];
  RETURN_IF_ERROR(frame.Read(reinterpret_cast<char*>(length), sizeof length));
  const uint32_t bytes = static_cast<uint32_t>(length[0]) | static_cast<uint32_t>(length[1]) << 8 |
                         static_cast<uint32_t>(length[2]) << 16 |
                         static_cast<uint32_t>(length[3]) << 24;
  if (bytes > kMaxRecordingHeaderBytes) {
    return absl::OutOfRangeError(absl::StrCat("the recording's list of files has ", bytes,
                                              " bytes, more than ", kMaxRecordingHeaderBytes,
                                              " (kMaxRecordingHeaderBytes)"));
  }
  std::string header(bytes, '\0');
  RETURN_IF_ERROR(frame.Read(header.data(), header.size()));
  v1::Recording recording;
  if (!recording.ParseFromString(header)) {
    return absl::InvalidArgumentError("the recording's list of files cannot be read");
  }
  return recording;
}

}  // namespace

absl::Status WriteRecording(v1::Recording recording, const std::filesystem::path& root,
                            const std::filesystem::path& path) {
  v1::Workload& workload = *recording.mutable_assignment()->mutable_workload();
  workload.clear_files();
  workload.clear_env();
  workload.clear_stdin_text();
  recording.clear_files();
  RETURN_IF_ERROR(ListFiles(root, &recording));
  const std::filesystem::path coming = path.string() + ".coming";
  const Fd fd(open(coming.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd.ok()) return ErrnoStatus(errno, coming.string());
  absl::Status status = WriteFrame(recording, root, fd.get());
  if (status.ok() && rename(coming.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus(errno, path.string());
  }
  if (!status.ok()) unlink(coming.c_str());
  return status;
}

absl::StatusOr<v1::Recording> UnpackRecordingUntrusted(int fd, const std::filesystem::path& root,
                                                       uint64_t max_bytes) {
  char magic[kMagic.size()];
  size_t got = 0;
  while (got < sizeof magic) {
    const ssize_t n = read(fd, magic + got, sizeof magic - got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  if (std::string_view(magic, got) != kMagic) {
    return absl::InvalidArgumentError(
        "is no recording: it does not begin with \"sxrec 1\"; `sextant-worker --record DIR` makes "
        "recordings");
  }
  FrameReader frame(fd);
  ASSIGN_OR_RETURN(v1::Recording recording, ReadHeader(fd, frame));
  if (recording.files_size() > static_cast<int>(kMaxRecordedFiles)) {
    return absl::OutOfRangeError(absl::StrCat("the recording has ", recording.files_size(),
                                              " files, more than ", kMaxRecordedFiles,
                                              " (kMaxRecordedFiles)"));
  }
  const uint64_t limit = std::min(max_bytes, kMaxRecordedBytes);
  uint64_t total = 0;
  for (const v1::RecordedFile& listed : recording.files()) {
    if (listed.size_bytes() > limit - total) {
      return absl::OutOfRangeError(absl::StrCat(
          "the recording unpacks to more than ", limit,
          " bytes: ", max_bytes < kMaxRecordedBytes ? "limits.disk_bytes" : "kMaxRecordedBytes"));
    }
    total += listed.size_bytes();
  }
  ASSIGN_OR_RETURN(const Fd directory, OpenDirectory(root));
  for (const v1::RecordedFile& listed : recording.files()) {
    RETURN_IF_ERROR(UnpackFile(listed, directory.get(), frame), "file \"", Shown(listed.path()),
                    "\"");
  }
  RETURN_IF_ERROR(frame.End());
  return recording;
}

}  // namespace sextant::agent

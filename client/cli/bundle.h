// Which local files a workload needs, and under which paths they travel. A bundle keeps the layout
// the user sees: `sextant run ./build/prog data/in.txt` sends build/prog and data/in.txt.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/home.h"
#include "sextant/v1/types.pb.h"

namespace sextant::cli {

// A file to send, before and after hashing.
struct LocalFile {
  std::string local;       // where it is here
  std::string path;        // where it will be, relative to /work
  uint64_t size_bytes = 0;
  uint32_t mode = 0644;
};

class Bundle {
 public:
  // Adds one file; INVALID_ARGUMENT when it is not a readable regular file, when `path` leaves the
  // working directory, or when another file already has that path.
  absl::Status AddFile(const std::string& local, const std::string& path);
  // Adds all regular files below `local` as `path`/…; what is not a regular file is noted.
  absl::Status AddDirectory(const std::string& local, const std::string& path);
  // "F", "F:path": --file. A directory is added whole.
  absl::Status AddArgument(const std::string& text);

  bool Has(const std::string& path) const { return files_.count(path) > 0; }
  const std::map<std::string, LocalFile>& files() const { return files_; }
  const std::vector<std::string>& notes() const { return notes_; }
  void AddNote(std::string note) { notes_.push_back(std::move(note)); }

 private:
  std::map<std::string, LocalFile> files_;   // by path
  std::vector<std::string> notes_;
};

// True for what every worker has: /usr, /bin, /lib, … and files that are no files (/dev, /proc).
bool IsSystemPath(const std::string& absolute);

// Collects what `argv` needs and rewrites argv[0] to the program's path in the bundle:
//   * the program, unless it is in a system directory;
//   * its shared libraries outside system directories, into lib/, and LD_LIBRARY_PATH=/work/lib;
//   * existing files and directories below the current directory that arguments name ("data.txt",
//     "--in=data.txt"); what is outside it is noted, not sent.
// Writes argv and env of `workload`; its files are filled in by HashBundle.
absl::Status CollectProgram(std::vector<std::string> argv, const Environment& environment,
                            Bundle& bundle, v1::Workload& workload);

// Shared libraries of `program` outside system directories, soname → path, as its dynamic loader
// finds them here. Empty for what is not a dynamically linked ELF program. NOT_FOUND: one is missing.
absl::StatusOr<std::map<std::string, std::string>> PrivateLibraries(const std::string& program);

// SHA-256 and size of what a file holds now.
struct Digested {
  std::string digest;   // 32 raw bytes
  uint64_t size_bytes = 0;
};
absl::StatusOr<Digested> HashFile(const std::string& path);
std::string HashBytes(absl::string_view bytes);

// Hashes all files of the bundle into `workload.files`; returns digest → local path.
absl::StatusOr<std::map<std::string, std::string>> HashBundle(const Bundle& bundle,
                                                              v1::Workload& workload);

}  // namespace sextant::cli

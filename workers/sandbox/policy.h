// What a program may see, as text: the arguments of bubblewrap. The text is the policy.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "workers/sandbox/sandbox.h"

namespace sextant::sandbox {

// File descriptors that bubblewrap inherits. Fixed, so that the arguments are the same every time.
inline constexpr int kStatusFd = 3;   // bubblewrap writes {"child-pid": N, …}
inline constexpr int kReportFd = 4;   // our init writes InitReport records
inline constexpr int kInitFd = 5;     // our init, a static program in memory
inline constexpr int kSeccompFd = 6;  // the compiled system call filter
inline constexpr int kPasswdFd = 7;   // a made /etc/passwd, /etc/group, /etc/hosts: PolicyFiles
inline constexpr int kGroupFd = 8;
inline constexpr int kHostsFd = 9;
inline constexpr int kArgumentsFd = 10;  // the options themselves: no secrets in `ps`
inline constexpr int kFdCount = 8;       // 3…10

// The user inside. The name exists in the made /etc/passwd only.
inline constexpr int kInsideUid = 1000;
inline constexpr int kInsideGid = 1000;

// What is on this machine (or in the user's root file system) that the policy depends on.
struct HostFacts {
  struct Entry {
    std::string name;  // below the root directory
    std::string link;  // where it points, if it is a symbolic link
  };
  std::vector<Entry> root;       // what becomes visible of the root directory, in order of name
  std::vector<std::string> etc;  // paths below /etc that become visible; unused with a rootfs
};

// Of the machine itself: /usr and what belongs to it, and the minimum of /etc; never a home
// directory, never /etc/shadow. Of a rootfs: everything except what the sandbox makes itself.
// NOT_FOUND when `rootfs` is no directory.
absl::StatusOr<HostFacts> ReadHostFacts(const std::filesystem::path& rootfs);

// Everything after the word "bwrap": options, "--", our init with its limits, "--", the program.
// Pure. `interactive` keeps the terminal's session (for a person's shell) instead of a new one.
std::vector<std::string> BwrapArguments(const RunSpec& spec, const HostFacts& facts,
                                        bool interactive = false);

// Contents of the made files.
std::string PasswdText();
std::string GroupText();
std::string HostsText();

// The program's environment: the spec's, and HOME, PATH and TMPDIR where it does not say.
std::map<std::string, std::string> WholeEnvironment(const RunSpec& spec);

// Values handed to our init ("nproc=…"), from the spec's limits.
std::vector<std::string> InitLimits(const RunSpec& spec);

}  // namespace sextant::sandbox

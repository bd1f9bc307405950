#include "workers/sandbox/seccomp.h"

#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sextant::sandbox {
namespace {

constexpr ForbiddenCall kForbidden[] = {
  // Looking into other processes. Own children could be traced without harm, but the filter
  // cannot tell whose pid it is.
  {"ptrace", Answer::kRefuse, "reads and changes other processes"},
  {"process_vm_readv", Answer::kRefuse, "reads other processes"},
  {"process_vm_writev", Answer::kRefuse, "writes into other processes"},
  {"process_madvise", Answer::kRefuse, "acts on other processes' memory"},
  {"pidfd_getfd", Answer::kRefuse, "takes files from other processes"},
  {"kcmp", Answer::kRefuse, "tells kernel addresses of other processes apart"},
  // Changing what is mounted: the policy is made of mounts.
  {"mount", Answer::kRefuse, "changes the file system"},
  {"umount", Answer::kRefuse, "changes the file system"},
  {"umount2", Answer::kRefuse, "changes the file system"},
  {"pivot_root", Answer::kRefuse, "changes the file system"},
  {"chroot", Answer::kRefuse, "changes the file system"},
  {"open_tree", Answer::kRefuse, "changes the file system"},
  {"move_mount", Answer::kRefuse, "changes the file system"},
  {"fsopen", Answer::kRefuse, "changes the file system"},
  {"fsconfig", Answer::kRefuse, "changes the file system"},
  {"fsmount", Answer::kRefuse, "changes the file system"},
  {"fspick", Answer::kRefuse, "changes the file system"},
  {"mount_setattr", Answer::kRefuse, "changes the file system"},
  {"quotactl", Answer::kRefuse, "changes the file system"},
  {"quotactl_fd", Answer::kRefuse, "changes the file system"},
  {"open_by_handle_at", Answer::kKill, "opens files by number, past every directory"},
  {"name_to_handle_at", Answer::kRefuse, "the other half of open_by_handle_at"},
  {"fanotify_init", Answer::kRefuse, "watches whole file systems"},
  // Namespaces inside: capabilities over kernel code otherwise out of reach. clone is filtered
  // by its flags; clone3 keeps them in memory, where no filter sees them.
  {"unshare", Answer::kRefuse, "makes namespaces"},
  {"setns", Answer::kRefuse, "enters namespaces"},
  {"clone3", Answer::kAbsent, "hides its flags from the filter; libraries fall back to clone"},
  // Programming the kernel, and large young interfaces with a history of holes.
  {"bpf", Answer::kRefuse, "loads programs into the kernel"},
  {"userfaultfd", Answer::kRefuse, "stalls the kernel at will; a tool of exploits"},
  {"io_uring_setup", Answer::kAbsent, "does file and socket work past this filter"},
  {"io_uring_enter", Answer::kAbsent, "does file and socket work past this filter"},
  {"io_uring_register", Answer::kAbsent, "does file and socket work past this filter"},
  {"add_key", Answer::kRefuse, "keyrings are not confined by namespaces"},
  {"request_key", Answer::kRefuse, "keyrings are not confined by namespaces"},
  {"keyctl", Answer::kRefuse, "keyrings are not confined by namespaces"},
  {"lookup_dcookie", Answer::kRefuse, "tells of files outside"},
  {"syslog", Answer::kRefuse, "reads the kernel's messages"},
  {"vhangup", Answer::kRefuse, "acts on the terminal"},
  {"modify_ldt", Answer::kRefuse, "rarely used, and a history of holes"},
  // The machine itself. These need privileges no program here has: an attempt is an attack.
  {"kexec_load", Answer::kKill, "replaces the kernel"},
  {"kexec_file_load", Answer::kKill, "replaces the kernel"},
  {"init_module", Answer::kKill, "loads kernel modules"},
  {"finit_module", Answer::kKill, "loads kernel modules"},
  {"delete_module", Answer::kKill, "removes kernel modules"},
  {"create_module", Answer::kKill, "loads kernel modules"},
  {"reboot", Answer::kKill, "stops the machine"},
  {"swapon", Answer::kKill, "changes the machine's memory"},
  {"swapoff", Answer::kKill, "changes the machine's memory"},
  {"acct", Answer::kKill, "changes the machine's accounting"},
  {"settimeofday", Answer::kKill, "sets the machine's clock"},
  {"clock_settime", Answer::kKill, "sets the machine's clock"},
  {"stime", Answer::kKill, "sets the machine's clock"},
  {"iopl", Answer::kKill, "speaks to hardware"},
  {"ioperm", Answer::kKill, "speaks to hardware"},
  {"nfsservctl", Answer::kKill, "serves the machine's files"},
  {"uselib", Answer::kKill, "obsolete"},
  {"_sysctl", Answer::kRefuse, "obsolete"},
  {"ustat", Answer::kRefuse, "obsolete"},
  {"sysfs", Answer::kRefuse, "obsolete"},
};

uint32_t Action(Answer answer) {
  switch (answer) {
    case Answer::kRefuse: return SCMP_ACT_ERRNO(EPERM);
    case Answer::kAbsent: return SCMP_ACT_ERRNO(ENOSYS);
    case Answer::kKill: return SCMP_ACT_KILL_PROCESS;
  }
  return SCMP_ACT_KILL_PROCESS;
}

// Adds rules to one filter and remembers the first failure.
class Rules {
 public:
  explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}

  // Calls this architecture does not have are skipped.
  void Add(const char* name, uint32_t action, std::vector<scmp_arg_cmp> when = {}) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR || call < 0) return;
    const int rc = seccomp_rule_add_array(filter_, action, call,
                                          static_cast<unsigned>(when.size()), when.data());
    if (rc != 0 && error_.empty()) error_ = absl::StrCat(name, ": error ", -rc);
  }

  const std::string& error() const { return error_; }

 private:
  scmp_filter_ctx filter_;
  std::string error_;
};

// New namespaces would give the program capabilities over kernel code that it cannot reach now.
void AddClone(Rules& rules) {
#if defined(__s390__) || defined(__s390x__)
  constexpr unsigned kFlags = 1;
#else
  constexpr unsigned kFlags = 0;
#endif
  for (uint64_t flag : {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER,
                        CLONE_NEWPID, CLONE_NEWNET}) {
    rules.Add("clone", Action(Answer::kRefuse),
              {SCMP_CMP64(kFlags, SCMP_CMP_MASKED_EQ, flag, flag)});
  }
}

// Typing into a terminal on behalf of the person who sits at it.
void AddIoctl(Rules& rules) {
  constexpr uint64_t kTioclinux = 0x541C;
  for (uint64_t request : {static_cast<uint64_t>(TIOCSTI), kTioclinux}) {
    rules.Add("ioctl", Action(Answer::kRefuse),
              {SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, 0xffffffff, request)});
  }
}

// Only the personalities debuggers and 32-bit tools ask for (no address randomisation, PER_LINUX32)
// and the query, all bits set; others switch off protections (READ_IMPLIES_EXEC) or reach old code.
void AddPersonality(Rules& rules) {
  constexpr uint64_t kTop = 1ull << 31, kAllowed = 0x0040000 /* ADDR_NO_RANDOMIZE */ | 0x8;
  for (uint64_t bit = 1; bit < kTop; bit <<= 1) {
    rules.Add("personality", Action(Answer::kRefuse),
              {SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, kTop | bit, kTop)});
    if ((bit & kAllowed) != 0) continue;
    rules.Add("personality", Action(Answer::kRefuse),
              {SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, kTop | bit, bit)});
  }
}

// Families that no network namespace confines (vsock reaches the hypervisor) or that are only a
// large and rarely used part of the kernel. Answered as a kernel without them answers.
void AddSocket(Rules& rules) {
  constexpr int kLast = 45;
  for (int family = 0; family <= kLast; ++family) {
    if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK) {
      continue;
    }
    for (const char* call : {"socket", "socketpair"}) {
      rules.Add(call, SCMP_ACT_ERRNO(EAFNOSUPPORT),
                {SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, 0xffffffff, static_cast<uint64_t>(family))});
    }
  }
}

}  // namespace

std::span<const ForbiddenCall> ForbiddenCalls() { return kForbidden; }

absl::StatusOr<std::string> BuildSeccompFilter(bool allow_perf_events) {
  std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_ALLOW), &seccomp_release);
  if (filter == nullptr) return absl::ResourceExhaustedError("no memory for the seccomp filter");
  // A program of another architecture would number its calls differently: not run at all.
  seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, 1);
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree: cost does not grow

  Rules rules(filter.get());
  for (const ForbiddenCall& call : ForbiddenCalls()) rules.Add(call.name, Action(call.answer));
  if (!allow_perf_events) rules.Add("perf_event_open", Action(Answer::kRefuse));
  AddClone(rules);
  AddIoctl(rules);
  AddPersonality(rules);
  AddSocket(rules);
  if (!rules.error().empty()) {
    return absl::InternalError(absl::StrCat("building the seccomp filter: ", rules.error()));
  }

  const int fd = memfd_create("sextant-seccomp", MFD_CLOEXEC);
  if (fd < 0) return absl::ResourceExhaustedError("memfd_create failed for the seccomp filter");
  std::string bytes;
  const int rc = seccomp_export_bpf(filter.get(), fd);
  if (rc == 0) {
    const off_t size = lseek(fd, 0, SEEK_END);
    bytes.resize(static_cast<size_t>(size));
    if (pread(fd, bytes.data(), bytes.size(), 0) != size) bytes.clear();
  }
  close(fd);
  if (bytes.empty()) return absl::InternalError("the seccomp filter could not be exported");
  return bytes;
}

}  // namespace sextant::sandbox

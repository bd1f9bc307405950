// The instrument `ir`: the code of the program's kernels, as files in the results directory.
//
//   ir-<cubin digest>.cubin   each cubin that was loaded and has a kernel that matches
//   ir-<cubin digest>.ptx     what it was compiled from, where the program handed PTX to the driver
//   ir-wanted-<pid>.txt       lines: "program <path>", and "kernel <mangled name>" for each kernel
//                             that the program asked the driver for; tells sextant-disassemble what
//                             is worth its time
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <unordered_set>

#include "workers/inject/cubin.h"
#include "workers/inject/instruments.h"

namespace sextant::inject {
namespace {

constexpr size_t kMaxFileBytes = 64u << 20;
constexpr uint64_t kMaxBytes = 512u << 20;  // of all files of a process
constexpr size_t kMaxWanted = 4096;

struct State {
  explicit State(Session& of) : session(of) {}

  Session& session;
  std::atomic<uint64_t> bytes{0};
  std::atomic<uint64_t> left_out{0};
  int wanted_fd = -1;
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  std::unordered_set<std::string> wanted;  // guarded by lock
};

State* state = nullptr;

// Of the cubin that the API call under way on this thread loaded; empty: none.
thread_local std::string* loaded_digest = nullptr;

constexpr CUpti_CallbackId kCalls[] = {
    CUPTI_DRIVER_TRACE_CBID_cuModuleLoad, CUPTI_DRIVER_TRACE_CBID_cuModuleLoadData,
    CUPTI_DRIVER_TRACE_CBID_cuModuleLoadDataEx, CUPTI_DRIVER_TRACE_CBID_cuModuleGetFunction,
    CUPTI_DRIVER_TRACE_CBID_cuLibraryGetKernel};

// A file that is whole or not there: written under another name first, because the process may be
// killed at any time. The same contents may be there already, from this process or another.
void WriteFile(const std::string& name, std::string_view bytes) {
  const std::string path = state->session.options.results() + "/" + name;
  if (access(path.c_str(), F_OK) == 0) return;
  if (bytes.size() > kMaxFileBytes || state->bytes.fetch_add(bytes.size()) > kMaxBytes) {
    ++state->left_out;
    return;
  }
  const std::string draft = path + "." + std::to_string(getpid());
  const int fd = open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return;
  bool whole = true;
  for (size_t done = 0; whole && done < bytes.size();) {
    const ssize_t n = write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    whole = n > 0;
    if (whole) done += static_cast<size_t>(n);
  }
  close(fd);
  if (!whole || rename(draft.c_str(), path.c_str()) != 0) {
    unlink(draft.c_str());
    ++state->left_out;
  }
}

void WriteLine(const std::string& line) {
  if (state->wanted_fd < 0) return;
  const ssize_t written = write(state->wanted_fd, line.data(), line.size());
  (void)written;  // without the line the kernel is not disassembled; the rest stays right
}

void Want(const char* name) {
  if (name == nullptr || !state->session.kernels.Matches(Demangle(name))) return;
  const Locked locked(state->lock);
  if (state->wanted.size() >= kMaxWanted || !state->wanted.insert(name).second) return;
  WriteLine(std::string("kernel ") + name + "\n");
}

void OnModule(Session& session, const LoadedModule& module) {
  bool matches = false;
  for (const LoadedModule::Kernel& kernel : module.kernels) {
    matches = session.kernels.Matches(Demangle(std::string(kernel.name).c_str()));
    if (matches) break;
  }
  if (!matches) return;
  const std::string digest = Hex(module.record.cubin_digest, sizeof(module.record.cubin_digest));
  WriteFile("ir-" + digest + ".cubin", module.cubin);
  if (loaded_digest == nullptr) loaded_digest = new std::string;
  *loaded_digest = digest;
}

// PTX is text; images of other kinds begin with a number.
bool IsPtx(const char* image) {
  for (; *image == ' ' || *image == '\n' || *image == '\r' || *image == '\t'; ++image) {
  }
  return strncmp(image, "//", 2) == 0 || strncmp(image, ".version", 8) == 0;
}

void OnLoaded(const void* image) {
  if (loaded_digest == nullptr || loaded_digest->empty()) return;
  const char* const text = static_cast<const char*>(image);
  if (text != nullptr && IsPtx(text)) {
    WriteFile("ir-" + *loaded_digest + ".ptx", {text, strnlen(text, kMaxFileBytes + 1)});
  }
  loaded_digest->clear();
}

void OnLoadedFile(const char* path) {
  const int fd = path != nullptr ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  struct stat about;
  if (fd < 0 || fstat(fd, &about) != 0 || static_cast<size_t>(about.st_size) > kMaxFileBytes) {
    if (fd >= 0) close(fd);
    return OnLoaded(nullptr);
  }
  std::string bytes(static_cast<size_t>(about.st_size), '\0');
  const ssize_t got = pread(fd, bytes.data(), bytes.size(), 0);
  close(fd);
  OnLoaded(got == about.st_size ? bytes.c_str() : nullptr);
}

void OnCallback(Session&, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data) {
  if (domain != CUPTI_CB_DOMAIN_DRIVER_API) return;
  const auto& call = *static_cast<const CUpti_CallbackData*>(data);
  if (call.callbackSite != CUPTI_API_EXIT || call.functionParams == nullptr) return;
  switch (id) {
    case CUPTI_DRIVER_TRACE_CBID_cuModuleLoad:
      return OnLoadedFile(static_cast<const cuModuleLoad_params*>(call.functionParams)->fname);
    case CUPTI_DRIVER_TRACE_CBID_cuModuleLoadData:
      return OnLoaded(static_cast<const cuModuleLoadData_params*>(call.functionParams)->image);
    case CUPTI_DRIVER_TRACE_CBID_cuModuleLoadDataEx:
      return OnLoaded(static_cast<const cuModuleLoadDataEx_params*>(call.functionParams)->image);
    case CUPTI_DRIVER_TRACE_CBID_cuModuleGetFunction:
      return Want(static_cast<const cuModuleGetFunction_params*>(call.functionParams)->name);
    case CUPTI_DRIVER_TRACE_CBID_cuLibraryGetKernel:
      return Want(static_cast<const cuLibraryGetKernel_params*>(call.functionParams)->name);
    default:
      return;
  }
}

bool Start(Session& session) {
  state = new State(session);
  const std::string path =
      session.options.results() + "/ir-wanted-" + std::to_string(getpid()) + ".txt";
  state->wanted_fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
  WriteLine(std::string("program ") + session.file.header().program + "\n");
  for (const CUpti_CallbackId id : kCalls) {
    if (!session.Enable(CUPTI_CB_DOMAIN_DRIVER_API, id)) return false;
  }
  return true;
}

void Stop(Session& session) {
  if (state->left_out == 0) return;
  session.file.Note(std::to_string(state->left_out) +
                    " modules were left out: one may have 64 MiB, all 512 MiB, and the disk must "
                    "have room");
}

}  // namespace

const Instrument kIr = {"ir", Start, Stop, OnCallback, true, OnModule};

}  // namespace sextant::inject

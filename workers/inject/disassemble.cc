// sextant-disassemble: runs the program of an `ir` pass, then disassembles what it loaded, and ends
// as the program did.
//
//   sextant-disassemble NVDISASM CUOBJDUMP PROGRAM [ARGUMENT…]
//
// It runs inside the sandbox, where cubins that a program forged can do no harm to the worker. It
// reads the files that the instrument left in $SEXTANT_RESULTS (ir.cc) and adds
//   ir-<cubin digest>.<symbol>.sass   one kernel, with source lines where the cubin has them
//   ir-program-<n>.ptx                the PTX that a program carries
// Statically linked, because it runs under whatever root file system the workload brings.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "workers/inject/cubin.h"

namespace sextant::inject {
namespace {

constexpr size_t kMaxKernels = 128;
constexpr size_t kMaxPrograms = 4;
constexpr size_t kMaxFileBytes = 64u << 20;
constexpr double kToolSeconds = 20;
constexpr double kAllSeconds = 60;

double Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

pid_t Start(const std::vector<std::string>& words, const char* output) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child != 0) return child;
  if (output != nullptr) {
    const int out = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
    const int null = open("/dev/null", O_RDWR);
    if (out < 0 || dup2(out, 1) < 0 || dup2(null, 0) < 0 || dup2(null, 2) < 0) _exit(126);
  }
  // As a program of a pass is found: the working directory, then PATH.
  const std::string here = "./" + words[0];
  if (output == nullptr && words[0].find('/') == std::string::npos &&
      access(here.c_str(), X_OK) == 0) {
    execv(here.c_str(), argv.data());
  }
  execvp(argv[0], argv.data());
  const int code = errno == ENOENT ? 127 : 126;
  if (output == nullptr) fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
  _exit(code);
}

int Wait(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// Runs a tool into `output`; what it leaves when it fails or takes too long is removed.
bool Run(const std::vector<std::string>& words, const std::string& output, double until) {
  const double mine = std::min(until, Now() + kToolSeconds);
  const pid_t child = Start(words, output.c_str());
  if (child < 0) return false;
  int status = 0;
  pid_t ended;
  while ((ended = waitpid(child, &status, WNOHANG)) == 0 && Now() < mine) usleep(2000);
  if (ended == 0) {
    kill(child, SIGKILL);
    status = Wait(child);
  }
  struct stat about;
  const bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
                    stat(output.c_str(), &about) == 0 && about.st_size > 0;
  if (!good) unlink(output.c_str());
  return good;
}

std::string Read(const std::string& path) {
  std::string bytes;
  FILE* const file = fopen(path.c_str(), "rb");
  if (file == nullptr) return bytes;
  char part[64 * 1024];
  size_t got;
  while (bytes.size() <= kMaxFileBytes && (got = fread(part, 1, sizeof(part), file)) > 0) {
    bytes.append(part, got);
  }
  fclose(file);
  return bytes;
}

struct Left {
  std::vector<std::string> cubins;  // file names
  std::set<std::string> kernels;    // mangled
  std::set<std::string> programs;
};

Left Look(const std::string& results) {
  Left left;
  DIR* const directory = opendir(results.c_str());
  if (directory == nullptr) return left;
  while (const dirent* entry = readdir(directory)) {
    const std::string name = entry->d_name;
    if (name.rfind("ir-", 0) != 0) continue;
    if (name.ends_with(".cubin")) left.cubins.push_back(name);
    if (name.rfind("ir-wanted-", 0) != 0) continue;
    const std::string text = Read(results + "/" + name);
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      const std::string line = text.substr(at, end - at);
      if (line.rfind("kernel ", 0) == 0) left.kernels.insert(line.substr(7));
      if (line.rfind("program ", 0) == 0) left.programs.insert(line.substr(8));
      at = end + 1;
    }
  }
  closedir(directory);
  std::sort(left.cubins.begin(), left.cubins.end());
  return left;
}

void Disassemble(const std::string& nvdisasm, const std::string& cuobjdump,
                 const std::string& results) {
  const double until = Now() + kAllSeconds;
  const Left left = Look(results);
  size_t done = 0;
  for (const std::string& name : left.cubins) {
    const std::string bytes = Read(results + "/" + name);
    Cubin cubin;
    std::string why;
    if (!ParseCubinUntrusted(bytes, &cubin, &why)) continue;
    for (const CubinKernel& kernel : cubin.kernels) {
      if (left.kernels.count(std::string(kernel.name)) == 0) continue;
      if (done++ >= kMaxKernels || Now() >= until) return;
      const std::string symbol = std::to_string(kernel.symbol);
      Run({nvdisasm, "--print-code", "--print-line-info", "--cuda-function-index", symbol,
           results + "/" + name},
          results + "/" + name.substr(0, name.size() - 6) + "." + symbol + ".sass", until);
    }
  }
  size_t programs = 0;
  for (const std::string& program : left.programs) {
    if (programs >= kMaxPrograms || Now() >= until) return;
    const std::string output = results + "/ir-program-" + std::to_string(programs) + ".ptx";
    if (Run({cuobjdump, "--dump-ptx", program}, output, until)) ++programs;
  }
}

int Main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: sextant-disassemble NVDISASM CUOBJDUMP PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  // The program's own signals are not this process's affair while it runs.
  const pid_t child = Start({argv + 3, argv + argc}, nullptr);
  if (child < 0) {
    perror("fork");
    return 126;
  }
  const int status = Wait(child);
  if (const char* const results = getenv("SEXTANT_RESULTS")) {
    Disassemble(argv[1], argv[2], results);
  }
  if (WIFSIGNALED(status)) {
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace
}  // namespace sextant::inject

int main(int argc, char** argv) { return sextant::inject::Main(argc, argv); }

// `sextant`, the command line of the service.
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "client/cli/app.h"

namespace {

using sextant::cli::Environment;
using sextant::cli::Terminal;

Terminal Look(int fd, const Environment& environment) {
  Terminal terminal;
  const std::string term = environment("TERM").value_or("");
  terminal.tty = isatty(fd) == 1 && term != "dumb" && !term.empty();
  terminal.color = (terminal.tty && !environment("NO_COLOR")) || environment("CLICOLOR_FORCE").value_or("0") != "0";
  const std::string locale = absl::AsciiStrToLower(environment("LC_ALL").value_or(
      environment("LC_CTYPE").value_or(environment("LANG").value_or(""))));
  // A pipe is read by programs that expect UTF-8; a terminal says what it can show.
  terminal.unicode = !terminal.tty || absl::StrContains(locale, "utf-8") ||
                     absl::StrContains(locale, "utf8");
  winsize size{};
  int columns = 0;
  if (terminal.tty && ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.width = size.ws_col;
  } else if (absl::SimpleAtoi(environment("COLUMNS").value_or(""), &columns)) {
    terminal.width = columns;
  }
  terminal.width = std::clamp(terminal.width, 40, 1000);
  return terminal;
}

}  // namespace

int main(int argc, char** argv) {
  // SIGINT is taken by one thread that waits for it; every other thread inherits the mask. A closed
  // pipe is an error of writing, not a death.
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // What gRPC has to say of a connection is said by the command, once and with a remedy.
  setenv("GRPC_VERBOSITY", "NONE", 0);

  const Environment environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  };
  sextant::cli::Interrupts interrupts;
  std::thread([&interrupts, interrupt] {
    int signal_number = 0;
    while (sigwait(&interrupt, &signal_number) == 0) {
      interrupts.Raise([] { _exit(sextant::cli::kInterrupted); });
    }
  }).detach();

  std::ios::sync_with_stdio(false);
  sextant::cli::Context context(std::cout, std::cerr, std::cin, environment, interrupts);
  context.out_terminal = Look(STDOUT_FILENO, environment);
  context.err_terminal = Look(STDERR_FILENO, environment);
  context.home = sextant::cli::FindHome(environment, geteuid() == 0);
  std::error_code error;
  context.own_executable = std::filesystem::read_symlink("/proc/self/exe", error).string();
  const int code = sextant::cli::Main(context, {argv + 1, argv + argc});
  std::cout << std::flush;
  std::cerr << std::flush;
  // The waiting thread still borrows `interrupts`: end without running destructors under it.
  _exit(code);
}

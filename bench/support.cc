#include "bench/support.h"

#include <spawn.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace sextant::bench {

double NowS() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string Machine() {
  std::string model = "unknown processor";
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.rfind("model name", 0) == 0) model = line.substr(line.find(':') + 2);
  }
  utsname system = {};
  uname(&system);
  return absl::StrCat(model, ", ", std::thread::hardware_concurrency(), " cores, ", system.sysname,
                      " ", system.release);
}

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

void Figures::Print(const std::string& bench) const {
  nlohmann::ordered_json line;
  line["bench"] = bench;
  line["machine"] = Machine();
  line["figures"] = nlohmann::ordered_json::object();
  for (const auto& [name, value] : figures_) line["figures"][name] = value;
  std::printf("%s\n", line.dump().c_str());
}

Directory::Directory() {
  std::string name = (std::filesystem::temp_directory_path() / "sextant-bench-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    std::perror("a directory for the benchmark");
    std::exit(1);
  }
  path_ = name;
}

Directory::~Directory() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

absl::Status RunProgram(const std::vector<std::string>& argv,
                        const std::vector<std::string>& more_env) {
  std::vector<std::string> words = argv, variables = more_env;
  for (char** v = environ; *v != nullptr; ++v) variables.push_back(*v);
  std::vector<char*> args, env;
  for (std::string& word : words) args.push_back(word.data());
  for (std::string& variable : variables) env.push_back(variable.data());
  args.push_back(nullptr);
  env.push_back(nullptr);
  std::fflush(stdout);
  pid_t pid = 0;
  if (posix_spawnp(&pid, args[0], nullptr, nullptr, args.data(), env.data()) != 0) {
    return absl::InternalError(absl::StrCat("cannot start ", argv[0]));
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (status != 0) return absl::InternalError(absl::StrCat(argv[0], " did not end well"));
  return absl::OkStatus();
}

}  // namespace sextant::bench

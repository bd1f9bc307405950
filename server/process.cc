#include "server/process.h"

#include <fcntl.h>
#include <grpc/support/log.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace sextant {

std::string OwnPrefix() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().parent_path();
}

absl::Status LockState(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const int fd = open((directory + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot write in ", directory, ": ", std::strerror(errno), "; name another --state"));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0)
    return absl::FailedPreconditionError(
        absl::StrCat("another sextantd uses ", directory, "; stop it or name another --state"));
  return absl::OkStatus();
}

std::string InstanceName(const std::string& state) {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, "-", std::hash<std::string>{}(state) % 1000000);
}

void SetUpLog(const std::string& level, const std::string& file) {
  auto logger = file.empty() ? spdlog::stderr_logger_mt("sextantd")
                                       : spdlog::basic_logger_mt("sextantd", file);
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z level=%l thread=%t %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  gpr_set_log_function([](gpr_log_func_args* said) {
    const auto level = said->severity == GPR_LOG_SEVERITY_ERROR  ? spdlog::level::warn
                       : said->severity == GPR_LOG_SEVERITY_INFO ? spdlog::level::debug
                                                                 : spdlog::level::trace;
    std::string text = said->message;   // may hold what a stranger sent
    std::replace(text.begin(), text.end(), '"', '\'');
    spdlog::log(level, "grpc message=\"{}\"", absl::CEscape(text));
  });
}

}  // namespace sextant

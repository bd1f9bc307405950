#include "workers/sandbox/spec_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <google/protobuf/util/json_util.h>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "workers/sandbox/files.h"

namespace sextant::sandbox {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr size_t kMaxFileBytes = 16 << 20;

}  // namespace

absl::Status WriteRunSpec(const RunSpec& spec, const std::filesystem::path& file) {
  std::string limits;
  if (!google::protobuf::util::MessageToJsonString(spec.limits, &limits).ok()) {
    return absl::InvalidArgumentError("limits cannot be written as JSON");
  }
  std::string text;
  try {
    json mounts = json::array();
    for (const RunSpec::Mount& mount : spec.mounts) {
      mounts.push_back({{"source", mount.source.string()},
                        {"target", mount.target},
                        {"writable", mount.writable}});
    }
    json devices = json::array();
    for (const RunSpec::Device& device : spec.devices) {
      devices.push_back({{"source", device.source.string()}, {"target", device.target}});
    }
    const json out = {{"version", kVersion},
                      {"name", spec.name},
                      {"argv", spec.argv},
                      {"env", spec.env},
                      {"rootfs", spec.rootfs.string()},
                      {"work_dir", spec.work_dir.string()},
                      {"results_dir", spec.results_dir.string()},
                      {"mounts", mounts},
                      {"devices", devices},
                      {"limits", json::parse(limits)},
                      {"allow_perf_events", spec.allow_perf_events},
                      {"stdin_text", spec.stdin_text},
                      {"stdout_path", spec.stdout_path.string()},
                      {"stderr_path", spec.stderr_path.string()}};
    text = out.dump(2) + "\n";
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("writing ", file.string(), ": ", error.what()));
  }
  const std::string temporary = absl::StrCat(file.string(), ".", getpid(), ".part");
  Fd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  const bool written =
      fd.valid() && write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (!written || rename(temporary.c_str(), file.c_str()) != 0) {
    const int error = errno;
    unlink(temporary.c_str());
    return absl::ResourceExhaustedError(
        absl::StrCat("writing ", file.string(), ": ", strerror(error)));
  }
  return absl::OkStatus();
}

absl::StatusOr<RunSpec> ReadRunSpec(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) {
    return absl::NotFoundError(
        absl::StrCat("no ", file.string(), "; was the pass run with --keep on this machine?"));
  }
  RunSpec spec;
  try {
    const json in = json::parse(ReadSmallFile(file, kMaxFileBytes));
    if (in.at("version").get<int>() != kVersion) {
      return absl::DataLossError(absl::StrCat(file.string(), ": version is not ", kVersion));
    }
    spec.name = in.at("name").get<std::string>();
    spec.argv = in.at("argv").get<std::vector<std::string>>();
    spec.env = in.at("env").get<std::map<std::string, std::string>>();
    spec.rootfs = in.at("rootfs").get<std::string>();
    spec.work_dir = in.at("work_dir").get<std::string>();
    spec.results_dir = in.at("results_dir").get<std::string>();
    for (const json& mount : in.at("mounts")) {
      spec.mounts.push_back({mount.at("source").get<std::string>(),
                             mount.at("target").get<std::string>(),
                             mount.at("writable").get<bool>()});
    }
    for (const json& device : in.at("devices")) {
      spec.devices.push_back({device.at("source").get<std::string>(),
                              device.at("target").get<std::string>()});
    }
    spec.allow_perf_events = in.at("allow_perf_events").get<bool>();
    spec.stdin_text = in.at("stdin_text").get<std::string>();
    spec.stdout_path = in.at("stdout_path").get<std::string>();
    spec.stderr_path = in.at("stderr_path").get<std::string>();
    if (!google::protobuf::util::JsonStringToMessage(in.at("limits").dump(), &spec.limits).ok()) {
      return absl::DataLossError(absl::StrCat(file.string(), ": limits are not ResourceLimits"));
    }
  } catch (const json::exception& exception) {
    return absl::DataLossError(absl::StrCat(file.string(), ": ", exception.what()));
  }
  return spec;
}

}  // namespace sextant::sandbox

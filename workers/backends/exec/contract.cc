#include "workers/backends/exec/contract.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/backends/exec/json_reader.h"

namespace sextant::backends::exec {
namespace {

constexpr size_t kMaxWords = 4096;
constexpr size_t kMaxMounts = 16;
constexpr size_t kMaxFeatures = 64;

nlohmann::json Parsed(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions print;
  print.preserve_proto_field_names = true;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, print).ok()) return {};
  return nlohmann::json::parse(text, nullptr, false);
}

nlohmann::json PassJson(const v1::Assignment& assignment) {
  nlohmann::json options = nlohmann::json::object();
  for (const auto& [name, value] : assignment.spec().options()) options[name] = value;
  return {{"version", 1},
          {"options", options},
          {"argv", std::vector<std::string>(assignment.workload().argv().begin(),
                                            assignment.workload().argv().end())},
          {"kernels", assignment.workload().kernels()},
          {"ordinal", assignment.ordinal()},
          {"limits", Parsed(assignment.workload().limits())}};
}

std::string Dump(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// "error": {"message", "remedy"} of `prepare`.
absl::Status OwnError(const JsonReader& root, absl::Status* status) {
  const nlohmann::json* error = root.Find("error");
  if (error == nullptr) return absl::OkStatus();
  const JsonReader reader(*error, "error", status);
  const std::string message = reader.Text("message"), remedy = reader.Text("remedy");
  return WithRemedy(absl::InvalidArgumentError(message.empty() ? "it gave no reason" : message),
                    remedy);
}

}  // namespace

absl::StatusOr<v1::BackendOffer> ParseOfferUntrusted(std::string_view json) {
  ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseObject(json, "probe"));
  absl::Status status;
  const JsonReader root(parsed, "", &status);
  v1::BackendOffer offer;
  offer.set_available(root.Flag("available"));
  offer.set_reason(root.Text("reason"));
  offer.set_tool_digest(root.Text("tool_version"));
  offer.set_device_kind(root.Text("device_kind"));
  if (!offer.device_kind().empty() && offer.device_kind() != "host" &&
      offer.device_kind() != "gpu") {
    root.Wrong("device_kind", "must be \"host\" or \"gpu\"");
  }
  for (const std::string& feature : root.Texts("features")) offer.add_features(feature);
  if (offer.features_size() > static_cast<int>(kMaxFeatures)) {
    root.Wrong("features", absl::StrCat("must be at most ", kMaxFeatures));
  }
  if (!offer.available() && offer.reason().empty()) {
    root.Wrong("reason", "must say why the backend is not available");
  }
  RETURN_IF_ERROR(status, "probe");
  return offer;
}

std::string DescribePass(const v1::Assignment& assignment) { return Dump(PassJson(assignment)); }

std::string DescribeRun(const RunRecord& run) {
  nlohmann::json json = PassJson(*run.assignment);
  json["exit"] = Parsed(run.exit);
  json["started_unix_ns"] = run.started_unix_ns;
  json["started_monotonic_ns"] = run.started_monotonic_ns;
  return Dump(json);
}

absl::StatusOr<LaunchPlan> ParsePlanUntrusted(std::string_view json) {
  ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseObject(json, "prepare"));
  absl::Status status;
  const JsonReader root(parsed, "", &status);
  RETURN_IF_ERROR(OwnError(root, &status));
  LaunchPlan plan;
  plan.argv = root.Texts("argv");
  if (plan.argv.empty() || plan.argv[0].empty() || plan.argv.size() > kMaxWords) {
    root.Wrong("argv", absl::StrCat("must have 1 to ", kMaxWords, " words"));
  }
  for (const std::string& word : plan.argv) {
    if (word.find('\0') != std::string::npos) root.Wrong("argv", "must not hold a zero byte");
  }
  if (const nlohmann::json* env = root.Find("env")) {
    if (!env->is_object() || env->size() > kMaxWords)
      root.Wrong("env", "must be an object of strings");
    for (const auto& [name, value] : env->items()) {
      if (!value.is_string() || name.empty() ||
          name.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
        root.Wrong("env", "must be an object of strings, named as variables are");
        break;
      }
      plan.env[name] = value.get<std::string>();
    }
  }
  for (const nlohmann::json& one : root.List("mounts")) {
    const std::string place = absl::StrCat("mounts[", plan.mounts.size(), "]");
    if (plan.mounts.size() == kMaxMounts) {
      root.Wrong("mounts", absl::StrCat("must be at most ", kMaxMounts));
      break;
    }
    const JsonReader mount(one, place, &status);
    const std::string source = mount.Text("source"), target = mount.Text("target");
    if (!absl::StartsWith(source, "/")) mount.Wrong("source", "must be an absolute path");
    if (!absl::StartsWith(target, "/sextant/") || absl::StrContains(target, "..")) {
      mount.Wrong("target", "must be a path below /sextant");
    }
    plan.mounts.push_back({source, target, /*writable=*/false});
  }
  RETURN_IF_ERROR(status, "prepare");
  return plan;
}

}  // namespace sextant::backends::exec

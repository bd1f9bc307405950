// ReadGpus of doctor.h.
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/doctor.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

using nlohmann::json;

std::string Text(const json& object, const char* key) {
  const auto at = object.is_object() ? object.find(key) : object.end();
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

Finding OfDevice(const json& device) {
  const json none = json::object();
  const json& is = device.contains("properties") ? device["properties"] : none;
  Finding f{absl::StrCat("GPU ", Text(device, "name"))};
  uint64_t memory = 0;
  f.detail = absl::StrCat(Text(is, "name"), ", ",
                          absl::SimpleAtoi(Text(is, "memory_bytes"), &memory) ? FormatBytes(memory)
                                                                              : "memory unknown",
                          ", compute capability ", Text(is, "compute_capability"), ", clocks ",
                          Text(is, "clock_policy"), ", ", Text(is, "uuid"));
  if (const std::string why = Text(device, "unhealthy"); !why.empty()) {
    f.health = Health::kMissing;
    absl::StrAppend(&f.detail, "; not well: ", why);
    f.remedy = "nvidia-smi -q says more; nvidia-smi --gpu-reset, or a restart of the machine, clears most";
  }
  return f;
}

}  // namespace

std::vector<Finding> ReadGpus(const std::string& text) {
  std::vector<Finding> findings;
  const json probe = json::parse(text, nullptr, false);
  if (!probe.is_object() || !probe.contains("worker") || !probe["worker"].is_object()) return findings;
  const auto devices = probe["worker"].find("devices");
  if (devices == probe["worker"].end() || !devices->is_array()) return findings;
  for (const json& device : *devices) {
    if (device.is_object() && Text(device, "kind") == "gpu") findings.push_back(OfDevice(device));
  }
  const auto site = probe.find("gpu_site");
  if (site == probe.end() || !site->is_array()) return findings;
  for (const json& fact : *site) {
    if (!fact.is_object()) continue;
    const auto works = fact.find("works");
    const bool ok = works != fact.end() && works->is_boolean() && works->get<bool>();
    findings.push_back({absl::StrCat("GPU ", Text(fact, "name")), ok ? Health::kOk : Health::kLimited,
                        Text(fact, "reason"), Text(fact, "remedy")});
  }
  return findings;
}

}  // namespace sextant::cli

#include "workers/backends/proton/hatchet.h"

#include <cmath>
#include <map>
#include <utility>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/names.h"

namespace sextant::backends::proton {
namespace {

using nlohmann::json;

constexpr size_t kMaxNodes = 1 << 20;
constexpr int kMaxDepth = 1000;
constexpr size_t kMaxCounters = 16 * 1024;
constexpr size_t kMaxNameBytes = 1024;

struct Sum {
  double value = 0;
  uint64_t instances = 0;
};

// "time (ns)" → "time", "ns".
std::pair<std::string, std::string> NameAndUnit(const std::string& metric) {
  const size_t open = metric.find(" (");
  const size_t close = open == std::string::npos ? open : metric.find(')', open);
  if (close == std::string::npos) return {metric, metric == "bytes" ? "bytes" : ""};
  return {metric.substr(0, open), metric.substr(open + 2, close - open - 2)};
}

const json* Member(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() ? nullptr : &*it;
}

// Depth of brackets, so that a hostile text cannot nest the tree deeper than is destroyed safely.
bool TooDeep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<std::vector<v1::Counter>> ReadHatchetUntrusted(std::string_view text) {
  if (TooDeep(text)) {
    return absl::InvalidArgumentError(absl::StrCat("Hatchet tree: deeper than ", kMaxDepth));
  }
  const json root = json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded() || !root.is_array() || root.empty()) {
    return absl::InvalidArgumentError("Hatchet tree: it is no JSON list of a root node");
  }
  std::map<std::pair<std::string, std::string>, Sum> sums;  // by kernel, metric
  std::vector<const json*> open = {&root[0]};
  size_t nodes = 0;
  while (!open.empty()) {
    const json& node = *open.back();
    open.pop_back();
    if (++nodes > kMaxNodes) {
      return absl::InvalidArgumentError(absl::StrCat("Hatchet tree: more than ", kMaxNodes, " nodes"));
    }
    if (const json* children = Member(node, "children"); children != nullptr && children->is_array()) {
      for (const json& child : *children) open.push_back(&child);
    }
    const json* frame = Member(node, "frame");
    const json* name = frame != nullptr ? Member(*frame, "name") : nullptr;
    const json* metrics = Member(node, "metrics");
    // Only kernels know their device; other nodes are Python's frames and scopes.
    if (name == nullptr || !name->is_string() || metrics == nullptr ||
        Member(*metrics, "device_id") == nullptr) {
      continue;
    }
    const json* count = Member(*metrics, "count");
    const uint64_t launches =
        count != nullptr && count->is_number_unsigned() ? count->get<uint64_t>() : 0;
    for (const auto& [metric, value] : metrics->items()) {
      if (!value.is_number() || metric == "count" || metric == "device_id") continue;
      const double number = value.get<double>();
      if (!std::isfinite(number)) continue;
      const auto key =
          std::make_pair(chunk::CleanName(name->get_ref<const std::string&>(), kMaxNameBytes),
                         chunk::CleanName(metric, kMaxNameBytes));
      if (sums.size() >= kMaxCounters && sums.find(key) == sums.end()) continue;
      Sum& sum = sums[key];
      sum.value += number;
      sum.instances += launches;
    }
  }
  std::vector<v1::Counter> counters;
  for (const auto& [key, sum] : sums) {
    const auto [name, unit] = NameAndUnit(key.second);
    v1::Counter& counter = counters.emplace_back();
    counter.set_name(name);
    counter.set_unit(unit);
    counter.set_kernel(key.first);
    counter.set_value(sum.value);
    counter.set_instances(sum.instances);
  }
  return counters;
}

}  // namespace sextant::backends::proton

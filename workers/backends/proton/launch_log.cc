#include "workers/backends/proton/launch_log.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "proto/chunk/names.h"

namespace sextant::backends::proton {
namespace {

using nlohmann::json;

constexpr size_t kMaxLineBytes = 1 << 20;
constexpr size_t kMaxNotes = 32;
constexpr size_t kMaxNoteBytes = 1024;
constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxFileNameBytes = 64;
constexpr size_t kMaxScopes = 256;

std::string Text(const json& line, const char* name, size_t max_bytes) {
  const auto it = line.find(name);
  if (it == line.end() || !it->is_string()) return "";
  return chunk::CleanName(it->get_ref<const std::string&>(), max_bytes);
}

uint64_t Number(const json& line, const char* name) {
  const auto it = line.find(name);
  return it != line.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

// The launcher writes "<pid>-<n>.raw" and "<pid>-<n>.mlir": nothing that leads elsewhere.
bool IsFileName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxFileNameBytes && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '.';
         });
}

bool ReadLaunch(const json& line, LaunchLine* launch) {
  launch->kernel = Text(line, "kernel", kMaxNameBytes);
  const uint64_t number = Number(line, "launch");
  launch->enter_ns = Number(line, "enter_ns");
  launch->clock_khz = Number(line, "clock_khz");
  launch->file = Text(line, "file", kMaxNameBytes);
  if (launch->kernel.empty() || number >= UINT32_MAX / 2) return false;
  launch->text = Text(line, "text", kMaxNameBytes);
  for (const std::string* file : {&launch->file, &launch->text}) {
    if (!file->empty() && !IsFileName(*file)) return false;
  }
  launch->number = static_cast<uint32_t>(number);
  const auto scopes = line.find("scopes");
  if (scopes == line.end()) return true;
  if (!scopes->is_array() || scopes->size() > kMaxScopes) return false;
  for (const json& scope : *scopes) {
    launch->scopes.push_back(
        scope.is_string() ? chunk::CleanName(scope.get_ref<const std::string&>(), kMaxNameBytes) : "");
  }
  return true;
}

}  // namespace

LaunchLog ReadLaunchLogUntrusted(std::string_view text, size_t max_launches) {
  LaunchLog log;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view bytes = text.substr(at, end - at);
    at = end + 1;
    // Nesting costs memory only in proportion to the line.
    const json line = bytes.size() <= kMaxLineBytes
                          ? json::parse(bytes.begin(), bytes.end(), nullptr, /*allow_exceptions=*/false)
                          : json(json::value_t::discarded);
    if (!line.is_object()) {
      ++log.malformed;
      continue;
    }
    const std::string kind = Text(line, "kind", kMaxNameBytes);
    if (kind == "launch") {
      LaunchLine launch;
      if (!ReadLaunch(line, &launch)) {
        ++log.malformed;
      } else if (log.launches.size() < max_launches) {
        log.launches.push_back(std::move(launch));
      }
    } else if (kind == "process") {
      log.began_ns = Number(line, "monotonic_ns");
    } else if (kind == "device") {
      log.clock_khz = Number(line, "clock_khz");
    } else if (kind == "left_out") {
      ++log.left_out;
    } else if (kind == "note") {
      if (log.notes.size() < kMaxNotes) log.notes.push_back(Text(line, "text", kMaxNoteBytes));
    } else if (kind == "end") {
      log.ended = true;
    } else {
      ++log.malformed;
    }
  }
  return log;
}

}  // namespace sextant::backends::proton

#include "workers/backends/exec/trace_csv.h"

#include <map>
#include <string>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/backends/formats/csv.h"

namespace sextant::backends::exec {
namespace {

using formats::CsvHeader;
using formats::CsvRow;

// Names numbered in order of appearance.
class Names {
 public:
  uint32_t IndexOf(std::string_view name) {
    const auto [at, added] =
        index_.try_emplace(std::string(name), static_cast<uint32_t>(names_.size()));
    if (added) names_.emplace_back(name);
    return at->second;
  }
  size_t size() const { return names_.size(); }
  std::vector<std::string> Take() { return std::move(names_); }

 private:
  absl::flat_hash_map<std::string, uint32_t> index_;
  std::vector<std::string> names_;
};

// Reads numbers of one row, and remembers the first field that was none.
class Row {
 public:
  Row(const CsvRow& row, size_t line, absl::Status* status)
      : row_(row), line_(line), status_(status) {}

  uint64_t Number(std::optional<size_t> column, const char* name, uint64_t most) const {
    const std::string_view field = CsvHeader::Field(row_, column);
    if (field.empty() && !column) return 0;
    uint64_t value = 0;
    if (!absl::SimpleAtoi(absl::string_view(field.data(), field.size()), &value) || value > most) {
      if (status_->ok()) {
        *status_ = absl::InvalidArgumentError(
            absl::StrCat("line ", line_, ", ", name, ": must be a whole number up to ", most));
      }
      return 0;
    }
    return value;
  }

 private:
  const CsvRow& row_;
  const size_t line_;
  absl::Status* const status_;
};

}  // namespace

absl::StatusOr<ImportedTrace> ParseTraceCsvUntrusted(std::string_view text) {
  formats::CsvReader reader(text);
  CsvRow row;
  if (!reader.Next(&row)) return absl::InvalidArgumentError("the trace has no header line");
  const CsvHeader header(row);
  const auto launch = header.Find("launch"), cta = header.Find("cta"), sm = header.Find("sm"),
             warp = header.Find("warp"), role = header.Find("role"),
             origin = header.Find("origin_ns"), region = header.Find("region"),
             start = header.Find("start"), duration = header.Find("duration");
  if (!region || !start || !duration) {
    return absl::InvalidArgumentError("the trace's header must name region, start and duration");
  }
  ImportedTrace trace;
  Names regions, roles;
  std::map<std::tuple<uint64_t, uint64_t, uint64_t>, uint32_t> tracks;
  const chunk::Limits limits;
  absl::Status status;
  for (size_t line = 2; reader.Next(&row); ++line) {
    if (trace.instances.size() == kMaxInstances) {
      return absl::OutOfRangeError(
          absl::StrCat("the trace has more than ", kMaxInstances, " instances (kMaxInstances)"));
    }
    const Row fields(row, line, &status);
    const uint64_t launch_number = fields.Number(launch, "launch", UINT32_MAX);
    const uint64_t cta_number = fields.Number(cta, "cta", UINT32_MAX);
    const uint64_t warp_number = fields.Number(warp, "warp", UINT32_MAX);
    const auto [at, added] = tracks.try_emplace({launch_number, cta_number, warp_number},
                                                static_cast<uint32_t>(trace.info.tracks.size()));
    if (added) {
      chunk::Track track;
      track.launch = static_cast<uint32_t>(launch_number);
      track.cta = static_cast<uint32_t>(cta_number);
      track.warp = static_cast<uint32_t>(warp_number);
      track.sm = static_cast<uint32_t>(fields.Number(sm, "sm", UINT32_MAX));
      track.origin_ns = fields.Number(origin, "origin_ns", chunk::kMaxTime - 1);
      track.role = roles.IndexOf(CsvHeader::Field(row, role));
      trace.info.tracks.push_back(track);
    }
    const std::string_view name = CsvHeader::Field(row, region);
    if (name.empty() && status.ok()) {
      status = absl::InvalidArgumentError(absl::StrCat("line ", line, ", region: is empty"));
    }
    trace.instances.push_back({at->second, regions.IndexOf(name),
                               fields.Number(start, "start", chunk::kMaxTime / 4),
                               fields.Number(duration, "duration", chunk::kMaxTime / 4)});
    RETURN_IF_ERROR(status, "the trace");
    if (regions.size() > limits.max_regions || roles.size() > limits.max_roles) {
      return absl::OutOfRangeError(absl::StrCat("the trace has more than ", limits.max_regions,
                                                " regions or roles (max_regions_per_pass)"));
    }
  }
  trace.info.regions = regions.Take();
  trace.info.roles = roles.Take();
  return trace;
}

}  // namespace sextant::backends::exec

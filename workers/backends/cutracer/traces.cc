#include "workers/backends/cutracer/traces.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "workers/backends/formats/csv.h"
#include "workers/backends/formats/lines.h"

namespace sextant::backends::cutracer {
namespace {

using nlohmann::json;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// A string field, or "".
std::string Text(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

uint64_t Count(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

// x·y·z of "block": [x, y, z].
uint64_t Threads(const json& metadata) {
  const auto block = metadata.find("block");
  if (block == metadata.end() || !block->is_array() || block->size() != 3) return 0;
  uint64_t threads = 1;
  for (const json& one : *block) {
    if (!one.is_number_unsigned() || one.get<uint64_t>() > 1024) return 0;
    threads *= one.get<uint64_t>();
  }
  return threads > 1024 ? 0 : threads;
}

void TakeRecord(const json& record, Trace* trace) {
  const std::string pc_text = Text(record, "pc");
  uint64_t pc = 0;
  if (!absl::SimpleHexAtoi(pc_text, &pc)) {
    ++trace->bad_lines;
    return;
  }
  if (trace->records == 0) trace->launch = Count(record, "grid_launch_id");
  ++trace->records;
  Trace::Executed& executed = trace->by_pc[pc];
  ++executed.count;
  if (executed.sass.empty()) executed.sass = Text(record, "sass");
}

}  // namespace

bool ParseFileName(std::string_view name, FileName* parsed) {
  absl::string_view rest = View(name);
  if (!absl::ConsumePrefix(&rest, "kernel_")) return false;
  const size_t after = rest.find('_');
  if (after == absl::string_view::npos || after == 0) return false;
  parsed->checksum = std::string(rest.substr(0, after));
  rest.remove_prefix(after + 1);
  parsed->iteration = 0;
  if (absl::string_view number = rest; absl::ConsumePrefix(&number, "iter")) {
    const size_t end = number.find('_');
    if (end != absl::string_view::npos &&
        absl::SimpleAtoi(number.substr(0, end), &parsed->iteration)) {
      rest = number.substr(end + 1);
    }
  }
  if (!absl::ConsumeSuffix(&rest, "_hist.csv") && !absl::ConsumeSuffix(&rest, ".ndjson"))
    return false;
  parsed->kernel = std::string(rest);
  return true;
}

absl::StatusOr<std::vector<HistogramRow>> ParseHistogramUntrusted(std::string_view csv) {
  formats::CsvReader reader(csv);
  formats::CsvRow row;
  std::vector<HistogramRow> rows;
  if (!reader.Next(&row)) return rows;
  const formats::CsvHeader header(row);
  const auto warp = header.Find("warp_id"), region = header.Find("region_id"),
             instruction = header.Find("instruction"), count = header.Find("count");
  if (!warp || !region || !instruction || !count) {
    return absl::InvalidArgumentError(
        "the histogram's header must name warp_id, region_id, instruction and count");
  }
  for (size_t line = 2; reader.Next(&row); ++line) {
    if (rows.size() == kMaxHistogramRows) {
      return absl::OutOfRangeError(absl::StrCat("the histogram has more than ", kMaxHistogramRows,
                                                " rows (kMaxHistogramRows)"));
    }
    const auto number = [&](std::optional<size_t> column) {
      return formats::ParseInteger(formats::CsvHeader::Field(row, column)).value_or(-1);
    };
    const int64_t w = number(warp), r = number(region), c = number(count);
    if (w < 0 || r < 0 || c < 0 || formats::CsvHeader::Field(row, instruction).empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("histogram line ", line,
                       ": warp_id, region_id and count must be whole numbers, and "
                       "instruction not empty"));
    }
    rows.push_back({static_cast<uint64_t>(w), static_cast<uint64_t>(r),
                    std::string(formats::CsvHeader::Field(row, instruction)),
                    static_cast<uint64_t>(c)});
  }
  return rows;
}

absl::StatusOr<Trace> ParseTraceUntrusted(std::string_view ndjson) {
  Trace trace;
  std::map<std::string, std::string> sass;  // by opcode_id, from the metadata
  absl::Status status;
  formats::ForEachLine(ndjson, [&](std::string_view line) {
    if (!status.ok() || line.empty()) return;
    const json record = line.size() > kMaxLineBytes ? json() : json::parse(line, nullptr, false);
    if (!record.is_object()) {
      ++trace.bad_lines;
      return;
    }
    if (Text(record, "type") == "kernel_metadata") {
      trace.mangled = Text(record, "mangled_name");
      trace.checksum = Text(record, "kernel_checksum");
      trace.threads = Threads(record);
      return;
    }
    TakeRecord(record, &trace);
    if (trace.by_pc.size() > kMaxPcs) {
      status = absl::OutOfRangeError(
          absl::StrCat("the trace has more than ", kMaxPcs, " instructions (kMaxPcs)"));
    }
  });
  if (!status.ok()) return status;
  return trace;
}

std::string OpcodeOf(std::string_view sass) {
  absl::string_view text = absl::StripAsciiWhitespace(View(sass));
  if (absl::StartsWith(text, "@")) {
    const size_t space = text.find(' ');
    if (space == absl::string_view::npos) return "";
    text = absl::StripLeadingAsciiWhitespace(text.substr(space));
  }
  return std::string(text.substr(0, text.find_first_of(" ;,")));
}

}  // namespace sextant::backends::cutracer

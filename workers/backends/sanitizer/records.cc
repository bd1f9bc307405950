#include "workers/backends/sanitizer/records.h"

#include <map>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"
#include "workers/backends/formats/csv.h"
#include "workers/backends/formats/kernel_name.h"
#include "workers/backends/formats/xml.h"

namespace sextant::backends::sanitizer {
namespace {

using formats::Finding;
using formats::XmlElement;

constexpr char kStub[] = "__device_stub__";

uint64_t Address(const std::string& text) {
  uint64_t value = 0;
  return absl::SimpleHexAtoi(text, &value) ? value : 0;
}

int64_t Integer(const std::string& text) { return formats::ParseInteger(text).value_or(0); }

void Index(const XmlElement& from, int64_t (&to)[3]) {
  to[0] = Integer(from["x"].text);
  to[1] = Integer(from["y"].text);
  to[2] = Integer(from["z"].text);
}

// The stub that CUDA's compiler makes for a kernel is a frame of the host's stack and names it.
std::string KernelOf(const XmlElement& stack) {
  for (const XmlElement& frame : stack.children) {
    const std::string& function = frame["func"].text;
    if (!absl::StartsWith(function, kStub)) continue;
    const std::string name = function.substr(sizeof(kStub) - 1);
    return formats::Demangle(absl::StartsWith(name, "_Z") ? name : absl::StrCat("_", name));
  }
  return "";
}

// The program's own function that called into CUDA.
std::string CallerOf(const XmlElement& stack) {
  for (const XmlElement& frame : stack.children) {
    const std::string& function = frame["func"].text;
    if (frame.name != "frame" || function.empty() || absl::StartsWith(function, "cu") ||
        absl::StartsWith(function, "libcuda") || absl::StartsWith(function, kStub)) {
      continue;
    }
    return formats::Demangle(function);
  }
  return "";
}

std::string Where(const XmlElement& where) {
  return absl::StrCat(where["path"].empty() ? where["func"].text : where["path"].text, ":",
                      where["line"].text);
}

// One of the two accesses of a hazard, in words.
std::string Access(const XmlElement& thread) {
  const XmlElement& index = thread["threadIdx"];
  return absl::StrCat(absl::AsciiStrToLower(thread["access"].text), " by thread (", index["x"].text,
                      ",", index["y"].text, ",", index["z"].text, ") at ", Where(thread["where"]));
}

std::string KindOf(const XmlElement& record) {
  const XmlElement& what = record["what"];
  if (!what["common"]["type"].empty()) return absl::StrCat(what["common"]["type"].text, " hazard");
  if (!what["error"].empty()) return what["error"].text;
  if (record["kind"].text == "Leak") return "leak";
  if (!what["type"].empty()) return what["type"].text;
  return record["kind"].text;
}

Finding FindingOf(const XmlElement& record, const std::string& tool) {
  const XmlElement& what = record["what"];
  Finding finding;
  finding.tool = tool;
  finding.kind = KindOf(record);
  finding.severity =
      record["level"].empty() ? "error" : absl::AsciiStrToLower(record["level"].text);
  finding.message = what["text"].text;
  finding.kernel = KernelOf(record["hostStack"]);
  const XmlElement* where = &record["where"];
  if (!what["thread0"].empty()) {
    where = &what["thread0"]["where"];
    Index(what["thread0"]["threadIdx"], finding.thread);
  } else {
    Index(record["who"]["threadIdx"], finding.thread);
  }
  Index(record["who"].empty() ? what["common"]["blockIdx"] : record["who"]["blockIdx"],
        finding.block);
  finding.file = (*where)["path"].text;
  finding.line = Integer((*where)["line"].text);
  finding.function = where->empty() ? CallerOf(record["hostStack"]) : (*where)["func"].text;
  const XmlElement& address = what["address"].empty() ? what["common"]["address"] : what["address"];
  finding.address = Address(address.text);
  finding.size_bytes = static_cast<uint64_t>(std::max<int64_t>(0, Integer(what["size"].text)));
  return finding;
}

}  // namespace

absl::StatusOr<Records> ParseRecordsUntrusted(std::string_view xml, const std::string& tool) {
  Records records;
  // What two records must agree in to be the same finding. The second access of a hazard is part of
  // it.
  using Key = std::tuple<std::string, std::string, std::string, std::string, int64_t, std::string,
                         std::string>;
  std::map<Key, size_t> known;
  formats::XmlReader reader(xml);
  XmlElement record;
  for (;;) {
    const absl::StatusOr<bool> more = reader.Next(&record);
    if (absl::IsDataLoss(more.status()) && records.records > 0) {
      records.cut_off = true;
      return records;
    }
    RETURN_IF_ERROR(more.status(), "compute-sanitizer's records");
    if (!*more) return records;
    if (record.name != "record") continue;
    ++records.records;
    Finding finding = FindingOf(record, tool);
    const XmlElement& other = record["what"]["thread1"];
    const Key key(finding.kind, finding.kernel, finding.function, finding.file, finding.line,
                  finding.message, other.empty() ? "" : Where(other["where"]));
    const auto [at, added] = known.emplace(key, records.findings.size());
    if (!added) {
      ++records.findings[at->second].count;
      continue;
    }
    if (!other.empty()) {
      absl::StrAppend(&finding.message, ": ", Access(record["what"]["thread0"]), ", ",
                      Access(other));
    }
    records.findings.push_back(std::move(finding));
  }
}

}  // namespace sextant::backends::sanitizer

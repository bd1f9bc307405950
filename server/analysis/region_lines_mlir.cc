#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/names.h"
#include "server/analysis/region_lines.h"

namespace sextant::analysis {
namespace {

constexpr char kRecord[] = "proton.record ";
constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxOpen = 64;       // regions that nest
constexpr size_t kMaxNotes = 16;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// Whether a location is in the text of an IR that was edited, not in a source.
bool IsOfText(const std::string& file) {
  return absl::EndsWith(file, ".ttgir") || absl::EndsWith(file, ".ttir") || absl::EndsWith(file, ".mlir");
}

// A region that is open, and what has been seen in it.
struct Open {
  RegionLines lines;
  std::vector<SourceLine> frames;                              // of its begin; empty: it has no line of its own
  std::map<std::string, std::pair<uint32_t, uint32_t>> inside; // by file: lines of operations
  std::map<std::string, size_t> operations;
  int32_t index = -1;                                          // in the result
};

// The line of an operation in the function that `of` stands in: its own, or where it was inlined there. Null: it is
// in another function.
const SourceLine* SameFunction(const std::vector<SourceLine>& operation, const std::vector<SourceLine>& of) {
  if (operation.size() < of.size() || of.empty()) return nullptr;
  if (!std::equal(of.begin() + 1, of.end(), operation.end() - static_cast<std::ptrdiff_t>(of.size()) + 1)) return nullptr;
  const SourceLine& line = operation[operation.size() - of.size()];
  return line.file == of[0].file ? &line : nullptr;
}

class Reader {
 public:
  explicit Reader(const MlirLocations& locations) : locations_(locations) {}

  absl::Status Take(absl::string_view line) {
    if (absl::StartsWith(line, "#loc")) return absl::OkStatus();
    if (absl::StrContains(line, "tt.func ")) CloseAll();
    std::string location;
    const std::string text = WithoutLocations(line, &location);
    const std::vector<SourceLine> frames = locations_.Frames(location);
    const size_t at = text.find(kRecord);
    if (at == std::string::npos) {
      if (!frames.empty()) Operation(frames);
      return absl::OkStatus();
    }
    absl::string_view record = absl::string_view(text).substr(at + sizeof(kRecord) - 1);
    const size_t quote = record.find('"'), last = record.rfind('"');
    if (quote == absl::string_view::npos || last == quote) return absl::OkStatus();
    const std::string name = chunk::CleanName(std::string(record.substr(quote + 1, last - quote - 1)), kMaxNameBytes);
    any_ = true;
    if (absl::StartsWith(record, "start")) return Begin(name, frames);
    End(name, frames);
    return absl::OkStatus();
  }

  absl::StatusOr<FoundLines> Finish() {
    CloseAll();
    if (!any_) return absl::InvalidArgumentError("no proton.record in it");
    // A region that the compiler copied is one.
    FoundLines out;
    std::vector<int32_t> as;
    for (RegionLines& one : found_.regions) {
      if (one.parent >= 0) one.parent = as[static_cast<size_t>(one.parent)];
      const auto known = std::find(out.regions.begin(), out.regions.end(), one);
      as.push_back(one.last == 0 ? one.parent : static_cast<int32_t>(known - out.regions.begin()));
      if (one.last != 0 && known == out.regions.end()) out.regions.push_back(std::move(one));
    }
    out.notes = std::move(found_.notes);
    return out;
  }

 private:
  absl::Status Begin(const std::string& name, const std::vector<SourceLine>& frames) {
    if (found_.regions.size() >= kMaxRegionLines || open_.size() >= kMaxOpen)
      return absl::OutOfRangeError(absl::StrCat("more than ", kMaxRegionLines, " scopes, or ", kMaxOpen, " in each other"));
    Open& open = open_.emplace_back();
    open.index = static_cast<int32_t>(found_.regions.size());
    open.lines.region = name;
    open.lines.parent = open_.size() > 1 ? open_[open_.size() - 2].index : -1;
    if (!frames.empty() && !IsOfText(frames[0].file)) {
      open.frames = frames;
      open.lines.file = frames[0].file;
      open.lines.first = open.lines.last = frames[0].line;
    }
    found_.regions.push_back(open.lines);   // its place, so that parents come first
    return absl::OkStatus();
  }

  void Operation(const std::vector<SourceLine>& frames) {
    for (Open& open : open_) {
      if (open.frames.empty()) {
        auto [at, added] = open.inside.try_emplace(frames[0].file, std::make_pair(frames[0].line, frames[0].line));
        at->second.first = std::min(at->second.first, frames[0].line);
        at->second.second = std::max(at->second.second, frames[0].line);
        ++open.operations[frames[0].file];
      } else if (const SourceLine* const line = SameFunction(frames, open.frames); line != nullptr) {
        open.lines.last = std::max(open.lines.last, line->line);
      }
    }
  }

  void End(const std::string& name, const std::vector<SourceLine>& frames) {
    for (size_t i = open_.size(); i-- > 0;) {
      if (open_[i].lines.region != name) continue;
      if (const SourceLine* const line = SameFunction(frames, open_[i].frames); line != nullptr)
        open_[i].lines.last = std::max(open_[i].lines.last, line->line);
      Close(i);
      return;
    }
  }

  void Close(size_t at) {
    Open& open = open_[at];
    if (open.frames.empty() && !open.operations.empty()) {
      const auto most = std::max_element(open.operations.begin(), open.operations.end(),
                                         [](const auto& a, const auto& b) { return a.second < b.second; });
      open.lines.file = most->first;
      std::tie(open.lines.first, open.lines.last) = open.inside[most->first];
    }
    if (open.lines.last == 0 && found_.notes.size() < kMaxNotes)
      found_.notes.push_back(absl::StrCat("scope ", open.lines.region, " has no source line"));
    found_.regions[static_cast<size_t>(open.index)] = std::move(open.lines);
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  void CloseAll() {
    while (!open_.empty()) {
      if (found_.notes.size() < kMaxNotes)
        found_.notes.push_back(absl::StrCat("scope ", open_.back().lines.region, " has no end in its function"));
      Close(open_.size() - 1);
    }
  }

  const MlirLocations& locations_;
  std::vector<Open> open_;
  FoundLines found_;
  bool any_ = false;
};

// Calls use(line) for each line; ends with the first status that is not OK.
template <typename Use>
absl::Status ForLines(absl::string_view text, Use&& use) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (absl::Status status = use(text.substr(0, end)); !status.ok()) return status;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FoundLines> RegionLinesOfMlirUntrusted(std::string_view text) {
  // Definitions stand before and behind their uses.
  MlirLocations locations;
  absl::Status status = ForLines(View(text), [&](absl::string_view line) {
    locations.Define(line);
    return absl::OkStatus();
  });
  Reader reader(locations);
  if (status.ok()) status = ForLines(View(text), [&](absl::string_view line) { return reader.Take(line); });
  if (!status.ok()) return status;
  return reader.Finish();
}

}  // namespace sextant::analysis

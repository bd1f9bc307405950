#include "server/analysis/line_regions.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sextant::analysis {
namespace {

constexpr size_t kMaxWays = 64;   // of one line

std::string ShortRange(const RegionLines& lines) {
  const size_t slash = lines.file.rfind('/');
  return absl::StrCat(slash == std::string::npos ? lines.file : lines.file.substr(slash + 1), ":", lines.first, "-", lines.last);
}

}  // namespace

InlinedAt InlinedAtOfMlirUntrusted(std::string_view all) {
  MlirLocations locations;
  InlinedAt inlined;
  for (const bool define : {true, false}) {
    absl::string_view text(all.data(), all.size());
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      const absl::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (define) {
        locations.Define(line);
        continue;
      }
      if (!line.empty() && line[0] == '#') continue;
      std::string inside;
      WithoutLocations(line, &inside);
      std::vector<SourceLine> frames = locations.Frames(inside);
      // Each frame of the way is a line that code can be from.
      for (; !frames.empty(); frames.erase(frames.begin())) {
        auto& ways = inlined[frames[0]];
        if (ways.size() < kMaxWays) ways.insert({frames.begin() + 1, frames.end()});
      }
    }
  }
  return inlined;
}

LineRegions::LineRegions(const std::vector<RegionLines>& lines, InlinedAt inlined, const std::vector<std::string>& names)
    : inlined_(std::move(inlined)) {
  std::vector<int32_t> as;   // index among those that count, of it or of what is around it
  for (const RegionLines& one : lines) {
    const int32_t parent = one.parent < 0 ? -1 : as[static_cast<size_t>(one.parent)];
    if (!names.empty() && std::find(names.begin(), names.end(), one.region) == names.end()) {
      as.push_back(parent);
      continue;
    }
    as.push_back(static_cast<int32_t>(lines_.size()));
    lines_.push_back(one);
    lines_.back().parent = parent;
  }
  for (uint32_t i = 0; i < lines_.size(); ++i) by_file_[lines_[i].file].push_back(i);
}

const std::vector<std::vector<uint32_t>>& LineRegions::Ranges(const SourceLine& line) {
  static const auto* const none = new std::vector<std::vector<uint32_t>>;
  const auto of_file = by_file_.find(line.file);
  if (of_file == by_file_.end()) return *none;
  const auto [at, added] = ranges_.try_emplace(line);
  if (!added) return at->second;
  std::vector<uint32_t> around;
  std::set<int32_t> parents;
  for (const uint32_t i : of_file->second) {
    if (line.line < lines_[i].first || lines_[i].last < line.line) continue;
    around.push_back(i);
    parents.insert(lines_[i].parent);
  }
  for (const uint32_t i : around) {
    if (parents.contains(static_cast<int32_t>(i))) continue;   // another one lies within it
    std::vector<uint32_t>& chain = at->second.emplace_back();
    for (int32_t above = static_cast<int32_t>(i); above >= 0; above = lines_[static_cast<size_t>(above)].parent)
      chain.insert(chain.begin(), static_cast<uint32_t>(above));
  }
  return at->second;
}

int32_t LineRegions::Child(int32_t parent, const RegionLines& lines) {
  const auto [at, added] = children_.try_emplace({parent, lines.region}, static_cast<int32_t>(regions_.size()));
  if (added) regions_.push_back({lines.region, parent, {}});
  regions_[static_cast<size_t>(at->second)].code.insert(ShortRange(lines));
  return at->second;
}

std::vector<int32_t> LineRegions::Find(const SourceLine& line) {
  const auto inlined = inlined_.find(line);
  const std::set<std::vector<SourceLine>> itself = {{}};
  std::vector<int32_t> found;
  for (const std::vector<SourceLine>& way : inlined == inlined_.end() ? itself : inlined->second) {
    std::vector<int32_t> here = {-1};
    // From the outermost function inwards, the last is the line's own.
    for (size_t frame = way.size() + 1; frame-- > 0;) {
      const auto& ranges = Ranges(frame == 0 ? line : way[frame - 1]);
      if (ranges.empty()) continue;
      std::vector<int32_t> inner;
      for (const int32_t region : here)
        for (const auto& range : ranges) {
          if (inner.size() >= kMaxWays) break;
          int32_t at = region;
          for (const uint32_t one : range) at = Child(at, lines_[one]);
          inner.push_back(at);
        }
      here = std::move(inner);
    }
    for (const int32_t region : here)
      if (std::find(found.begin(), found.end(), region) == found.end()) found.push_back(region);
  }
  return found;
}

const std::vector<int32_t>& LineRegions::Of(const std::string& file, uint32_t line) {
  const SourceLine at{file, line};
  if (const auto known = known_.find(at); known != known_.end()) return known->second;
  return known_.emplace(at, Find(at)).first->second;
}

std::vector<int32_t> LineRegions::Above(int32_t region) const {
  std::vector<int32_t> above;
  for (; region >= 0; region = regions_[static_cast<size_t>(region)].parent) above.push_back(region);
  return above;
}

LineRegions::Common LineRegions::CommonOf(const std::vector<int32_t>& ways) const {
  std::map<int32_t, size_t> in;   // ways by region; parents have smaller indices than their children
  for (const int32_t way : ways)
    for (const int32_t region : Above(way)) ++in[region];
  Common common;
  for (const auto& [region, count] : in) {
    if (count == ways.size()) common.region = region;
    else common.doubtful.push_back(region);
  }
  return common;
}

uint32_t LineRegions::Distance(int32_t a, int32_t b) const {
  const std::vector<int32_t> of_a = Above(a), of_b = Above(b);
  uint32_t distance = 0;
  for (const int32_t region : of_a) distance += std::find(of_b.begin(), of_b.end(), region) == of_b.end() ? 1 : 0;
  for (const int32_t region : of_b) distance += std::find(of_a.begin(), of_a.end(), region) == of_a.end() ? 1 : 0;
  return distance;
}

}  // namespace sextant::analysis

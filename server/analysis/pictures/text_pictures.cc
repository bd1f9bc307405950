#include "server/analysis/pictures/text_pictures.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/facts.h"
#include "server/analysis/pictures/svg.h"
#include "server/analysis/rules/rule.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

constexpr int kLabel = 28, kPlot = 70;
constexpr size_t kMostRows = 16, kMostShares = 12;
constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
constexpr const char* kShades[] = {" ", "░", "▒", "▓", "█"};
constexpr const char* kSparks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

// Columns of valid UTF-8, each character taken for one.
size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

std::string Padded(std::string text, size_t columns, bool right = false) {
  size_t width = Width(text);
  if (width > columns) {
    size_t at = 0;
    for (size_t seen = 0; at < text.size(); ++at)
      if ((static_cast<unsigned char>(text[at]) & 0xc0) != 0x80 && seen++ == columns - 1) break;
    text = absl::StrCat(text.substr(0, at), "…");
    width = columns;
  }
  const std::string space(columns - width, ' ');
  return right ? absl::StrCat(space, text) : absl::StrCat(text, space);
}

// "consumer/wait full"; the region whole and the role cut where both are too long.
std::string Label(const std::string& role, const std::string& region) {
  const std::string shown = Shown(region);
  if (role.empty()) return shown;
  const std::string whole = absl::StrCat(Shown(role), "/", shown);
  const size_t wide = Width(shown);
  if (Width(whole) <= kLabel || wide + 6 > kLabel) return whole;
  return absl::StrCat(Padded(Shown(role), kLabel - wide - 1), "/", shown);
}

// Marks under a plot: "0     5 µs   10 µs", each where its time is.
std::string Axis(double span_ns) {
  std::string line(kLabel + 1, ' ');
  size_t column = 0;
  for (double mark = 0, step = AxisStep(span_ns, 6); mark <= span_ns && span_ns > 0; mark += step) {
    const auto at = static_cast<size_t>(mark / span_ns * kPlot);
    const std::string text = mark == 0 ? "0" : Duration(mark);
    if (at < column || at + Width(text) > kPlot + 6) continue;
    absl::StrAppend(&line, std::string(at - column, ' '), text);
    column = at + Width(text);
  }
  return absl::StrCat(line, "\n");
}

int MedianAt(const google::protobuf::RepeatedField<double>& quantiles) {
  int best = 0;
  for (int i = 0; i < quantiles.size(); ++i)
    if (std::abs(quantiles.Get(i) - 0.5) < std::abs(quantiles.Get(best) - 0.5)) best = i;
  return best;
}

}  // namespace

std::string TextBar(double share, int columns) {
  const int eighths = std::isfinite(share) ? static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * 8 * columns)) : 0;
  std::string bar;
  for (int i = 0; i < eighths / 8; ++i) absl::StrAppend(&bar, "█");
  absl::StrAppend(&bar, kEighths[eighths % 8]);
  return Padded(std::move(bar), columns);
}

std::string TextSpark(const google::protobuf::RepeatedField<double>& values, int columns) {
  const int shown = std::min(values.size(), columns);
  std::vector<double> joined(shown, 0);
  double most = 0;
  for (int c = 0; c < shown; ++c) {
    const int from = static_cast<int>(int64_t{c} * values.size() / shown), to = static_cast<int>(int64_t{c + 1} * values.size() / shown);
    for (int i = from; i < to; ++i)
      if (std::isfinite(values.Get(i))) joined[c] += values.Get(i) / (to - from);
    most = std::max(most, joined[c]);
  }
  std::string line;
  for (const double value : joined)
    absl::StrAppend(&line, value <= 0 || most <= 0 ? " " : kSparks[std::clamp(static_cast<int>(std::ceil(8 * value / most)) - 1, 0, 7)]);
  return line;
}

std::string TextTimeline(const v1::Timeline& timeline) {
  const int median = MedianAt(timeline.quantiles());
  double from = INFINITY, to = 0;
  struct Row {
    std::string label;
    double total = 0;
    size_t order = 0;
    std::vector<std::pair<double, double>> spans;
  };
  std::map<std::pair<std::string, std::string>, Row> rows;
  for (const v1::RoleLane& lane : timeline.lanes())
    for (const v1::InstanceStat& one : lane.instances()) {
      if (median >= one.start_ns_size() || median >= one.end_ns_size()) continue;
      const double begin = one.start_ns(median), end = one.end_ns(median);
      if (!std::isfinite(begin) || !std::isfinite(end) || end <= begin) continue;
      from = std::min(from, begin), to = std::max(to, end);
      Row& row = rows[{lane.role(), one.region()}];
      if (row.spans.empty()) row.label = Label(lane.role(), one.region()), row.order = rows.size();
      row.total += end - begin;
      row.spans.push_back({begin, end});
    }
  if (!(to > from)) return "";
  std::vector<const Row*> order;
  for (const auto& [key, row] : rows) order.push_back(&row);
  std::stable_sort(order.begin(), order.end(), [](const Row* a, const Row* b) { return a->total > b->total; });
  const size_t left_out = order.size() - std::min(order.size(), kMostRows);
  order.resize(order.size() - left_out);
  std::stable_sort(order.begin(), order.end(), [](const Row* a, const Row* b) { return a->order < b->order; });
  std::string text;
  const double column_ns = (to - from) / kPlot;
  for (const Row* row : order) {
    std::vector<double> covered(kPlot, 0);
    for (const auto& [begin, end] : row->spans)
      for (int c = std::clamp(static_cast<int>((begin - from) / column_ns), 0, kPlot - 1); c < kPlot; ++c) {
        const double left = from + c * column_ns;
        if (left >= end) break;
        covered[c] += std::max(std::min(end, left + column_ns) - std::max(begin, left), 0.0) / column_ns;
      }
    absl::StrAppend(&text, Padded(row->label, kLabel), "│");
    for (const double share : covered)
      absl::StrAppend(&text, share <= 0.02 ? " " : kShades[std::clamp(static_cast<int>(std::ceil(4 * share)), 1, 4)]);
    absl::StrAppend(&text, "│\n");
  }
  absl::StrAppend(&text, Axis(to - from));
  if (left_out > 0) absl::StrAppend(&text, left_out, " regions that take less are left out\n");
  return text;
}

std::string TextPath(const v1::CriticalPathAt& at) {
  std::string text;
  size_t shown = 0;
  double most = 0;
  for (const v1::PathShare& share : at.shares()) most = std::max(most, share.share());
  for (const v1::PathShare& share : at.shares()) {
    if (!(share.share() > 0) || shown++ == kMostShares) break;
    absl::StrAppend(&text, Padded(Label(share.role(), share.region()), kLabel), "│", TextBar(share.share() / most, 40), " ",
                    Padded(Percent(share.share()), 7, true), "  ", Duration(share.on_path_ns()), "\n");
  }
  return text;
}

std::string TextUnits(const v1::Roofline& roofline) {
  std::string text;
  for (const v1::SpeedOfLight& one : roofline.speed_of_light())
    absl::StrAppend(&text, Padded(Shown(one.unit_name()), kLabel), "│", TextBar(one.achieved_pct() / 100, 50), "│ ",
                    Padded(Percent(one.achieved_pct() / 100), 7, true), "\n");
  return text;
}

std::string TextOccupancy(const v1::OccupancyOverTime& occupancy) {
  if (occupancy.resident_ctas().empty()) return "";
  const auto line = [](const char* what, const google::protobuf::RepeatedField<double>& values) {
    double most = 0;
    for (const double value : values) most = std::max(most, std::isfinite(value) ? value : 0);
    return absl::StrCat(Padded(what, kLabel), "│", Padded(TextSpark(values, kPlot), std::min(values.size(), kPlot)), "│ most ",
                        Figure(most), "\n");
  };
  std::string text = line("resident CTAs", occupancy.resident_ctas());
  if (!occupancy.active_sms().empty()) absl::StrAppend(&text, line("active SMs", occupancy.active_sms()));
  if (occupancy.resident_ctas_size() >= kPlot)
    absl::StrAppend(&text, Axis(static_cast<double>(occupancy.bucket_ns()) * occupancy.resident_ctas_size()));
  return text;
}

}  // namespace sextant::analysis

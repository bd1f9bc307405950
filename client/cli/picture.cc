#include "client/cli/picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

// Told apart on dark and light backgrounds, and black text on them is readable.
constexpr std::array<int, 12> kColors = {39, 208, 41, 177, 220, 203, 80, 149, 215, 111, 218, 250};
constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

// Where a region's durations lie in the lane of its role.
struct Place {
  uint32_t depth = 0;
  double first_ns = std::numeric_limits<double>::infinity();
};

std::string Percent(double share) {
  if (!std::isfinite(share)) return "-";
  if (share >= 9.995) return ">999 %";
  return absl::StrFormat(share < 0.0995 ? "%.1f %%" : "%.0f %%", share * 100);
}

std::string SmallNumber(double value) {
  if (value == std::floor(value) && std::fabs(value) < 1e15) {
    return (value < 0 ? "-" : "") + FormatCount(static_cast<uint64_t>(std::fabs(value)));
  }
  return absl::StrFormat("%.4g", value);
}

std::string Title(const v1::Timeline& t, const Style& style) {
  const Bounds b = BoundsOf(t);
  std::vector<std::string> words;
  const std::string job =
      absl::StrCat("job ", t.job_id(), t.task().empty() ? "" : absl::StrCat(" ", Escape(t.task(), 60)));
  words.push_back(BoldText(t.program().empty() ? job : Escape(t.program(), 60), style));
  if (!t.program().empty()) words.push_back(job);
  words.push_back(Plural(t.passes(), "pass", "passes"));
  words.push_back(Plural(t.events(), "instance", "instances"));
  if (const double mid = At(t.span_ns(), b.mid); std::isfinite(mid)) {
    std::string span = absl::StrCat("span ", b.mid_name, " ", FormatNs(mid, style.unicode));
    if (b.low != b.high && std::isfinite(At(t.span_ns(), b.low)) && std::isfinite(At(t.span_ns(), b.high))) {
      absl::StrAppend(&span, " (", b.low_name, " ", FormatNs(At(t.span_ns(), b.low), style.unicode), ", ",
                      b.high_name, " ", FormatNs(At(t.span_ns(), b.high), style.unicode), ")");
    }
    words.push_back(span);
  }
  return Wrap(words, style.unicode ? " · " : ", ", style.width + (style.color ? 8 : 0), "  ") + "\n";
}

}  // namespace

std::string QuantileName(double q) { return absl::StrFormat("P%.4g", q * 100); }

double At(const google::protobuf::RepeatedField<double>& values, int index) {
  if (index < 0 || index >= values.size()) return std::numeric_limits<double>::quiet_NaN();
  return values.Get(index);
}

Bounds BoundsOf(const v1::Timeline& timeline) {
  Bounds b;
  const auto& q = timeline.quantiles();
  if (q.empty()) return b;
  b.low = 0;
  b.high = q.size() - 1;
  b.mid = 0;
  for (int i = 1; i < q.size(); ++i) {
    if (std::fabs(q.Get(i) - 0.5) < std::fabs(q.Get(b.mid) - 0.5)) b.mid = i;
  }
  b.low_name = QuantileName(q.Get(b.low));
  b.mid_name = QuantileName(q.Get(b.mid));
  b.high_name = QuantileName(q.Get(b.high));
  return b;
}

std::vector<const v1::RoleLane*> LanesInOrder(const v1::Timeline& timeline) {
  const Bounds b = BoundsOf(timeline);
  std::vector<std::pair<double, const v1::RoleLane*>> lanes;
  for (const v1::RoleLane& lane : timeline.lanes()) {
    double first = std::numeric_limits<double>::infinity();
    for (const v1::InstanceStat& stat : lane.instances()) {
      const double start = At(stat.start_ns(), b.mid);
      if (start < first) first = start;   // false for NaN
    }
    lanes.emplace_back(first, &lane);
  }
  std::stable_sort(lanes.begin(), lanes.end(),
                   [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<const v1::RoleLane*> ordered;
  for (const auto& [first, lane] : lanes) ordered.push_back(lane);
  return ordered;
}

Legend::Legend(const v1::Timeline& timeline) {
  const auto add = [&](const std::string& region) {
    if (index_.emplace(region, static_cast<int>(order_.size())).second) order_.push_back(region);
  };
  for (const v1::RoleLane* lane : LanesInOrder(timeline)) {
    for (const v1::InstanceStat& stat : lane->instances()) add(stat.region());
  }
  for (const v1::RegionAggregate& aggregate : timeline.regions()) add(aggregate.region());
  for (const v1::BucketSeries& series : timeline.buckets()) add(series.region());
}

std::string Legend::Letter(const std::string& region) const {
  const auto at = index_.find(region);
  if (at == index_.end() || at->second >= static_cast<int>(sizeof kLetters) - 1) return "*";
  return std::string(1, kLetters[at->second]);
}

int Legend::Color(const std::string& region) const {
  const auto at = index_.find(region);
  return at == index_.end() ? kColors.back() : kColors[at->second % kColors.size()];
}

namespace {

// The lane in which a region of a role stands: aggregates know roles as named alone, lanes also inferred
// ones and kernels. Where several may be meant, the role.
class LanesOfRegions {
 public:
  explicit LanesOfRegions(const v1::Timeline& timeline) {
    for (const v1::RoleLane& lane : timeline.lanes()) {
      names_.insert(lane.role());
      for (const v1::InstanceStat& stat : lane.instances()) lanes_[stat.region()].insert(lane.role());
    }
  }
  std::string Find(const v1::RegionAggregate& region) const {
    if (names_.contains(region.role())) return region.role();
    const auto found = lanes_.find(region.region());
    std::string only;
    if (found == lanes_.end()) return region.role();
    for (const std::string& lane : found->second) {
      if (!region.role().empty() && !absl::EndsWith(lane, absl::StrCat(" · ", region.role()))) continue;
      if (!only.empty()) return region.role();
      only = lane;
    }
    return only.empty() ? region.role() : only;
  }

 private:
  std::set<std::string> names_;
  std::map<std::string, std::set<std::string>> lanes_;   // by region
};

}  // namespace

std::string DrawTable(const v1::Timeline& timeline, const Legend& legend, const Style& style) {
  if (timeline.regions().empty()) return "";
  const LanesOfRegions lanes_of(timeline);
  const Bounds b = BoundsOf(timeline);
  std::map<std::string, const v1::RoleLane*> lanes;
  std::map<std::pair<std::string, std::string>, Place> places;
  std::map<std::string, int> lane_order;
  for (const v1::RoleLane* in_order : LanesInOrder(timeline)) {
    const v1::RoleLane& lane = *in_order;
    lanes[lane.role()] = &lane;
    lane_order.emplace(lane.role(), static_cast<int>(lane_order.size()));
    for (const v1::InstanceStat& stat : lane.instances()) {
      Place& place = places[{lane.role(), stat.region()}];
      const double start = At(stat.start_ns(), b.mid);
      if (start < place.first_ns) place = {stat.depth(), start};
    }
  }
  std::vector<const v1::RegionAggregate*> rows;
  for (const v1::RegionAggregate& r : timeline.regions()) rows.push_back(&r);
  std::stable_sort(rows.begin(), rows.end(), [&](const auto* x, const auto* y) {
    const auto key = [&](const v1::RegionAggregate* r) {
      const std::string in = lanes_of.Find(*r);
      const auto lane = lane_order.find(in);
      const auto place = places.find({in, r->region()});
      return std::make_tuple(lane == lane_order.end() ? 1 << 30 : lane->second, in,
                             place == places.end() ? 1e300 : place->second.first_ns, -r->sum_ns());
    };
    return key(x) < key(y);
  });

  std::vector<Table::Head> heads = {{"role"}, {"region"}, {"count", Table::Align::kRight}};
  for (double q : timeline.quantiles()) heads.push_back({QuantileName(q), Table::Align::kRight});
  heads.push_back({"share", Table::Align::kRight});
  heads.push_back({"spread", Table::Align::kRight});
  heads.push_back({"confidence", Table::Align::kRight});
  Table table(heads);
  table.set_max_cell(36);
  double worst_error = 0;
  std::string previous_role = "\n";
  std::map<std::string, double> outermost_ns;   // role → time in its outermost regions
  for (const v1::RegionAggregate* r : rows) {
    const std::string in = lanes_of.Find(*r);
    const auto place = places.find({in, r->region()});
    if (place != places.end() && place->second.depth == 0) outermost_ns[in] += r->sum_ns();
  }
  for (const v1::RegionAggregate* r : rows) {
    const std::string in = lanes_of.Find(*r);
    const auto lane = lanes.find(in);
    const auto place = places.find({in, r->region()});
    const uint32_t depth = place == places.end() ? 0 : std::min<uint32_t>(place->second.depth, 7);
    std::vector<std::string> cells;
    cells.push_back(in == previous_role ? "" : in.empty() ? "(no role)" : in);
    previous_role = in;
    cells.push_back(std::string(2 * depth, ' ') + legend.Letter(r->region()) + " " + r->region());
    cells.push_back(FormatCount(r->count()));
    for (int i = 0; i < timeline.quantiles_size(); ++i) {
      cells.push_back(FormatNs(At(r->duration_ns(), i), style.unicode));
    }
    const double recorded = outermost_ns[in];
    cells.push_back(recorded > 0 ? Percent(r->sum_ns() / recorded) : "-");
    const double mid = At(r->duration_ns(), b.mid);
    cells.push_back(mid > 0 && b.low != b.high
                        ? Percent((At(r->duration_ns(), b.high) - At(r->duration_ns(), b.low)) / mid) : "-");
    cells.push_back(lane == lanes.end() ? "-" : Percent(lane->second->alignment_confidence()));
    worst_error = std::max(worst_error, r->relative_error());
    table.Add(std::move(cells));
  }
  std::string text = table.Text(style.color, "", style.width);
  absl::StrAppend(&text, "\n");
  std::vector<std::string> key = {"share: of the role's recorded time",
                                  "confidence: of the alignment over passes"};
  if (timeline.origin() == v1::SINCE_CTA) {
    key.insert(key.begin(), "times since the start of a CTA; a kernel's CTAs and launches are observations");
  }
  if (b.low != b.high) {
    key.insert(key.begin() + 1,
               absl::StrCat("spread: (", b.high_name, " - ", b.low_name, ") / ", b.mid_name));
  }
  if (worst_error > 0) {
    key.push_back(absl::StrFormat("durations within %.2g %%, --exact reads every instance", worst_error * 100));
  }
  absl::StrAppend(&text, FaintLines(Wrap(key, "; ", style.width, ""), style));

  Table counters({{"role"}, {"region"}, {"counter"}, {"per instance", Table::Align::kRight},
                  {"total", Table::Align::kRight}, {"unit"}});
  for (const v1::RegionAggregate* r : rows) {
    for (const v1::Counter& c : r->counters()) {
      counters.Add({r->role().empty() ? "(no role)" : r->role(), r->region(), c.name(),
                    c.instances() > 0 ? SmallNumber(c.value() / c.instances()) : "-",
                    SmallNumber(c.value()), c.unit()});
    }
  }
  if (!counters.empty()) absl::StrAppend(&text, "\n", counters.Text(style.color, "", style.width));
  return text;
}

std::string DrawBuckets(const v1::Timeline& timeline, const Legend& legend, const Style& style) {
  if (timeline.buckets().empty() || timeline.quantiles().empty()) return "";
  const Bounds b = BoundsOf(timeline);
  const int quantiles = timeline.quantiles_size();
  size_t label = 6;
  for (const auto& s : timeline.buckets()) label = std::max(label, Columns(Escape(s.region(), 24)) + 2);
  const size_t room = std::max<int>(10, style.width - static_cast<int>(label) - 26);
  std::string text = BoldText(absl::StrCat(b.mid_name, " of the duration over time"), style);
  absl::StrAppend(&text, "  from ", FormatNs(timeline.first_bucket_ns(), style.unicode), ", buckets of ",
                  FormatNs(timeline.bucket_ns(), style.unicode), "\n");
  for (const v1::BucketSeries& series : timeline.buckets()) {
    const size_t n = series.counts_size();
    const size_t per_column = std::max<size_t>(1, (n + room - 1) / room);
    std::vector<double> values;   // per column; NaN: nothing there
    double low = std::numeric_limits<double>::infinity(), high = 0;
    for (size_t from = 0; from < n; from += per_column) {
      double sum = 0, weight = 0;
      for (size_t i = from; i < std::min(n, from + per_column); ++i) {
        const double v = At(series.duration_ns(), static_cast<int>(i) * quantiles + b.mid);
        if (series.counts(static_cast<int>(i)) == 0 || !std::isfinite(v)) continue;
        sum += v * series.counts(static_cast<int>(i));
        weight += series.counts(static_cast<int>(i));
      }
      values.push_back(weight > 0 ? sum / weight : std::numeric_limits<double>::quiet_NaN());
      if (weight > 0) {
        low = std::min(low, values.back());
        high = std::max(high, values.back());
      }
    }
    std::string line;
    for (double v : values) {
      const absl::string_view glyph = std::isfinite(v) && high > 0 ? LevelGlyph(v / high, style) : "";
      line += glyph.empty() ? " " : std::string(glyph);
    }
    line = PadRight(line, std::min(room, values.size()));
    absl::StrAppend(&text, Colored(PadRight(absl::StrCat(legend.Letter(series.region()), " ", Escape(series.region(), 24)), label),
                                   legend.Color(series.region()), style),
                    " ", Colored(line, legend.Color(series.region()), style), "  ",
                    std::isfinite(low) ? absl::StrCat(FormatNs(low, style.unicode), " to ", FormatNs(high, style.unicode))
                                       : "empty", "\n");
  }
  return text;
}

std::string DrawNotes(const v1::Timeline& timeline, const Style& style) {
  std::string text;
  const size_t width = std::max(40, style.width);
  const auto note = [&](const std::string& s) { absl::StrAppend(&text, Colored("! ", 214, style), s, "\n"); };
  if (timeline.dropped() > 0) {
    note(absl::StrCat(FormatCount(timeline.dropped()),
                      " records were lost to full buffers; instances are aligned from the tail"));
  }
  if (timeline.passes_left_out() > 0) {
    note(absl::StrCat(Plural(timeline.passes_left_out(), "pass is", "passes are"), " left out of this picture"));
  }
  for (const v1::RoleLane& lane : timeline.lanes()) {
    const std::string role = lane.role().empty() ? "(no role)" : Escape(lane.role(), 40);
    if (lane.instances_left_out() > 0) {
      note(absl::StrCat(role, ": ", FormatCount(lane.instances_left_out()),
                        " more instances are counted in the table but not drawn"));
    }
    if (lane.alignment_confidence() < 0.995 && !lane.instances().empty()) {
      note(absl::StrCat(role, ": alignment confidence ", Percent(lane.alignment_confidence()),
                        lane.alignment().empty() ? "" : absl::StrCat(": ", Escape(lane.alignment(), 200))));
    }
  }
  for (const std::string& s : timeline.notes()) note(Escape(s, 400));
  for (const v1::Provenance& p : timeline.provenance()) {
    std::vector<std::string> words;
    const auto add = [&](absl::string_view label, const std::string& value) {
      if (!value.empty()) words.push_back(absl::StrCat(label, Escape(value, 60)));
    };
    add("", p.cpu_model());
    if (p.cpu_cores() > 0) words.push_back(Plural(p.cpu_cores(), "core", "cores"));
    add("", p.device() == "cpu" ? "" : p.device());
    add(absl::StartsWith(p.kernel(), "Linux") ? "" : "Linux ", p.kernel());
    add("", p.sandbox());
    add("backend ", p.backend());
    add("worker ", p.worker());
    if (p.load_average() > 0) words.push_back(absl::StrFormat("load %.2f", p.load_average()));
    for (const auto& [key, value] : std::map<std::string, std::string>(p.extra().begin(), p.extra().end())) {
      if (value != "unknown") add(absl::StrCat(Escape(key, 30), " "), value);
    }
    if (words.empty()) continue;
    words[0] = absl::StrCat("measured on ", words[0]);
    const std::string block = Wrap(words, style.unicode ? " · " : ", ", width, "  ");
    absl::StrAppend(&text, FaintLines(block, style));
  }
  return text;
}

std::string DrawTimeline(const v1::Timeline& timeline, const Style& style) {
  const v1::Timeline folded = FoldLanes(timeline, style);
  const Legend legend(folded);
  std::string text = Title(timeline, style);
  if (timeline.lanes().empty() && timeline.regions().empty()) {
    absl::StrAppend(&text, "No region was recorded.\n");
  }
  for (const std::string& part :
       {DrawLanes(folded, legend, style), DrawLoops(timeline, legend, style),
        DrawTable(timeline, legend, style), DrawOverlaps(timeline, style),
        DrawBuckets(timeline, legend, style), DrawNotes(timeline, style)}) {
    if (!part.empty()) absl::StrAppend(&text, part, "\n");
  }
  while (text.size() > 1 && text[text.size() - 2] == '\n' && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace sextant::cli

// DrawLanes of picture.h: from instances to cells.
#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/cli/axis.h"
#include "client/cli/picture.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr int kMaxSubRows = 3;        // overlapping instances of one depth
constexpr int kMaxFoldedRegions = 12; // of one lane and depth
constexpr int kMaxLanes = 64;

// One instance in nanoseconds; edges that were not given collapse onto the middle.
struct Shape {
  const v1::InstanceStat* stat;
  double start_low, start, start_high, end_low, end, end_high;
};

Shape ShapeOf(const v1::InstanceStat& stat, const Bounds& b) {
  const auto edge = [](double value, double fallback) { return std::isfinite(value) ? value : fallback; };
  Shape s{&stat};
  s.start = At(stat.start_ns(), b.mid);
  s.end = At(stat.end_ns(), b.mid);
  s.start_low = std::min(s.start, edge(At(stat.start_ns(), b.low), s.start));
  s.start_high = std::max(s.start, edge(At(stat.start_ns(), b.high), s.start));
  s.end_low = std::min(s.end, edge(At(stat.end_ns(), b.low), s.end));
  s.end_high = std::max(s.end, edge(At(stat.end_ns(), b.high), s.end));
  return s;
}

struct Depth {
  std::vector<Shape> shapes;   // by start
};

struct Lane {
  const v1::RoleLane* lane;
  std::map<uint32_t, Depth> depths;
};

// A printed row: what stands at its left, and its row of the canvas.
struct RowLabel {
  std::string text;
  int color = -1;
  bool role = false;
};

class LanePainter {
 public:
  LanePainter(const v1::Timeline& timeline, const Legend& legend, const Style& style)
      : timeline_(timeline), legend_(legend), style_(style), bounds_(BoundsOf(timeline)) {}

  std::string Draw(bool key) {
    Collect();
    if (!(last_ns_ > -1)) return "";
    label_columns_ = LabelColumns();
    const int columns = std::max(20, style_.width - label_columns_ - 1);
    const Axis axis(first_ns_, last_ns_, columns, style_.unicode);
    Canvas canvas(columns);
    for (const Lane& lane : lanes_) PaintLane(lane, axis, canvas);

    std::string text;
    const std::string margin(label_columns_ + 1, ' ');
    for (const std::string& line : axis.Lines(style_)) absl::StrAppend(&text, margin, line, "\n");
    for (int row = 0; row < canvas.rows(); ++row) {
      for (const Axis::Tick& tick : axis.ticks()) {
        if (canvas.Empty(row, tick.column)) {
          canvas.Put(row, tick.column, style_.unicode ? "┊" : ":", Paint::kFaint);
        }
      }
      absl::StrAppend(&text, Label(labels_[row]), " ", canvas.Line(row, style_), "\n");
    }
    if (key) absl::StrAppend(&text, Key(axis));
    return text;
  }

 private:
  void Collect() {
    for (const v1::RoleLane* lane : LanesInOrder(timeline_)) {
      const v1::RoleLane& role = *lane;
      if (lanes_.size() == kMaxLanes) {
        ++lanes_left_out_;
        continue;
      }
      Lane collected{&role};
      for (const v1::InstanceStat& stat : role.instances()) {
        const Shape shape = ShapeOf(stat, bounds_);
        if (!std::isfinite(shape.start) || !(shape.end >= shape.start)) continue;
        collected.depths[std::min<uint32_t>(stat.depth(), 7)].shapes.push_back(shape);
        first_ns_ = std::min(first_ns_, shape.start_low);
        last_ns_ = std::max(last_ns_, shape.end_high);
      }
      for (auto& [depth, group] : collected.depths) {
        std::stable_sort(group.shapes.begin(), group.shapes.end(),
                         [](const Shape& a, const Shape& b) { return a.start < b.start; });
      }
      lanes_.push_back(std::move(collected));
    }
  }

  std::string RoleLabel(const v1::RoleLane& lane) const {
    std::string text = Escape(lane.role().empty() ? "(no role)" : lane.role());
    if (lane.tracks() > 1) absl::StrAppend(&text, style_.unicode ? " ×" : " x", lane.tracks());
    return text;
  }

  int LabelColumns() const {
    size_t columns = 6;
    for (const Lane& lane : lanes_) columns = std::max(columns, Columns(RoleLabel(*lane.lane)));
    for (const std::string& region : legend_.order()) {
      columns = std::max(columns, Columns(Escape(region)) + 4);
    }
    return static_cast<int>(std::min<size_t>(columns, std::max(12, style_.width / 5)));
  }

  std::string Label(const RowLabel& label) const {
    std::string text = label.text;
    if (Columns(text) > static_cast<size_t>(label_columns_)) {
      text = style_.unicode ? Cut(text, label_columns_ - 1) + "…" : Cut(text, label_columns_);
    }
    text = PadRight(text, label_columns_);
    if (label.role) return BoldText(text, style_);
    return label.color >= 0 ? Colored(text, label.color, style_) : text;
  }

  int AddRow(Canvas& canvas, RowLabel label) {
    labels_.push_back(std::move(label));
    return canvas.AddRow();
  }

  void PaintLane(const Lane& lane, const Axis& axis, Canvas& canvas) {
    if (canvas.rows() > 0) AddRow(canvas, {});
    RowLabel head{RoleLabel(*lane.lane), -1, true};
    if (lane.depths.empty()) AddRow(canvas, head);
    for (const auto& [depth, group] : lane.depths) {
      if (PaintBars(group, axis, head, canvas)) {
        head = {};
      } else {
        if (head.role) AddRow(canvas, head);
        head = {};
        PaintFolded(group, axis, canvas);
      }
    }
  }

  // One bar per instance, on as few rows as they need. False, having painted nothing, when they
  // cannot be told apart at this width.
  bool PaintBars(const Depth& group, const Axis& axis, const RowLabel& head, Canvas& canvas) {
    struct Placed {
      const Shape* shape;
      int begin, end, row;
    };
    std::vector<Placed> placed;
    std::vector<int> row_ends;
    size_t narrow = 0;
    for (const Shape& shape : group.shapes) {
      int begin = axis.Boundary(shape.start);
      int end = std::max(begin + 1, axis.Boundary(shape.end));
      if (end > canvas.columns()) {
        end = canvas.columns();
        begin = std::min(begin, end - 1);
      }
      if (shape.end - shape.start < axis.cell_ns()) ++narrow;
      size_t row = 0;
      while (row < row_ends.size() && row_ends[row] > begin) {
        // Rounding may make neighbours share a column; the longer one gives it up.
        if (row_ends[row] == begin + 1 && end - begin > 1 &&
            shape.end - shape.start > axis.cell_ns()) {
          ++begin;
          break;
        }
        ++row;
      }
      if (row == kMaxSubRows) return false;
      if (row == row_ends.size()) row_ends.push_back(0);
      row_ends[row] = end;
      placed.push_back({&shape, begin, end, static_cast<int>(row)});
    }
    const size_t n = group.shapes.size();
    if (static_cast<int>(n) > canvas.columns() / 2 || (narrow > 4 && narrow * 2 > n)) return false;

    std::vector<int> rows;
    for (size_t i = 0; i < row_ends.size(); ++i) rows.push_back(AddRow(canvas, i == 0 ? head : RowLabel{}));
    for (const Placed& p : placed) PaintWhiskers(*p.shape, p.begin, p.end, rows[p.row], axis, canvas);
    for (const Placed& p : placed) PaintBar(*p.shape, p.begin, p.end, rows[p.row], axis, canvas);
    bars_ = true;
    return true;
  }

  void PaintWhiskers(const Shape& shape, int begin, int end, int row, const Axis& axis,
                     Canvas& canvas) {
    const int color = legend_.Color(shape.stat->region());
    const int from = axis.Boundary(shape.start_low), to = axis.Boundary(shape.end_high);
    for (int column = from; column < to; ++column) {
      if (column >= begin && column < end) continue;
      const bool tip = column == from || column == to - 1;
      absl::string_view glyph = style_.unicode ? "─" : "-";
      if (tip) glyph = style_.unicode ? (column < begin ? "╶" : "╴") : "-";
      canvas.Put(row, column, glyph, Paint::kLine, color);
    }
  }

  void PaintBar(const Shape& shape, int begin, int end, int row, const Axis& axis, Canvas& canvas) {
    const std::string& region = shape.stat->region();
    const int color = legend_.Color(region);
    const int soft_until = axis.Boundary(shape.start_high), soft_from = axis.Boundary(shape.end_low);
    for (int column = begin; column < end; ++column) {
      if (column < soft_until || column >= soft_from) {
        canvas.Put(row, column, style_.unicode ? "▒" : "+", Paint::kSoft, color);
      } else {
        canvas.Put(row, column, style_.unicode ? (style_.color ? " " : "█") : "#", Paint::kFill, color);
      }
    }
    const std::string name = Escape(region);
    const std::string shown = static_cast<int>(Columns(name)) < end - begin && Columns(name) == name.size()
                                  ? name : legend_.Letter(region);
    for (size_t i = 0; i < shown.size(); ++i) {
      canvas.Put(row, begin + static_cast<int>(i), shown.substr(i, 1), Paint::kFill, color);
    }
  }

  // One row per region: the share of every column's time that was spent in it.
  void PaintFolded(const Depth& group, const Axis& axis, Canvas& canvas) {
    struct Density {
      std::vector<double> share;
      double total = 0;
      size_t instances = 0;
    };
    std::map<std::string, Density> regions;
    std::vector<std::string> order;
    for (const Shape& shape : group.shapes) {
      auto [at, added] = regions.try_emplace(shape.stat->region());
      if (added) {
        order.push_back(at->first);
        at->second.share.resize(canvas.columns());
      }
      Density& d = at->second;
      ++d.instances;
      d.total += shape.end - shape.start;
      const double from = (shape.start - axis.begin_ns()) / axis.cell_ns();
      const double to = (shape.end - axis.begin_ns()) / axis.cell_ns();
      const int first = std::clamp(static_cast<int>(from), 0, canvas.columns() - 1);
      const int last = std::clamp(static_cast<int>(to), first, canvas.columns() - 1);
      for (int column = first; column <= last; ++column) {
        d.share[column] += std::max(0.0, std::min(to, column + 1.0) - std::max<double>(from, column));
        // Something that happened is seen, however short it was.
        if (d.share[column] <= 0) d.share[column] = 1e-6;
      }
    }
    if (order.size() > kMaxFoldedRegions) {
      std::stable_sort(order.begin(), order.end(), [&](const std::string& a, const std::string& b) {
        return regions[a].total > regions[b].total;
      });
      regions_left_out_ += order.size() - kMaxFoldedRegions;
      order.resize(kMaxFoldedRegions);
    }
    for (const std::string& region : order) {
      const int color = legend_.Color(region);
      const int row = AddRow(canvas, {absl::StrCat("  ", legend_.Letter(region), " ", Escape(region)), color});
      const Density& d = regions[region];
      for (int column = 0; column < canvas.columns(); ++column) {
        const absl::string_view glyph = LevelGlyph(d.share[column], style_);
        if (!glyph.empty()) canvas.Put(row, column, glyph, Paint::kLine, color);
      }
    }
    folded_ = true;
  }

  // What the signs mean, only those that were used.
  std::string Key(const Axis& axis) const {
    std::string text = "\n";
    const auto line = [&](const std::vector<std::string>& words) {
      absl::StrAppend(&text, FaintLines(Wrap(words, "   ", style_.width, ""), style_));
    };
    if (bars_) {
      std::string regions;
      size_t used = 0;
      for (const std::string& region : legend_.order()) {
        const std::string name = Escape(region, 40);
        const std::string letter = legend_.Letter(region);
        const size_t columns = Columns(name) + (style_.color ? 4 : 2);
        if (used > 0 && used + 3 + columns > static_cast<size_t>(style_.width)) {
          regions += "\n";
          used = 0;
        }
        absl::StrAppend(&regions, used > 0 ? "   " : "",
                        style_.color ? absl::StrCat("\x1b[1;38;5;16;48;5;", legend_.Color(region), "m ",
                                                    letter, " \x1b[0m ", name)
                                     : absl::StrCat(letter, " ", name));
        used += columns + (used > 0 ? 3 : 0);
      }
      absl::StrAppend(&text, regions, "\n");
      std::vector<std::string> words = {absl::StrCat(style_.unicode ? "█" : "#", " from ", bounds_.mid_name,
                                                     " start to ", bounds_.mid_name, " end")};
      if (bounds_.low != bounds_.high) {
        words.push_back(absl::StrCat(style_.unicode ? "▒ ─" : "+ -", " ", bounds_.low_name, " to ", bounds_.high_name,
                                     " of an edge, inside and outside the bar"));
      }
      line(words);
    }
    if (folded_) {
      line({absl::StrCat(style_.unicode ? "▁▄█" : ".=@", " share of a column's time spent there (", bounds_.mid_name, ")"),
            absl::StrCat("a column is ", FormatNs(axis.cell_ns(), style_.unicode))});
    }
    if (lanes_left_out_ > 0) line({absl::StrCat(lanes_left_out_, " more roles are in the table below")});
    if (regions_left_out_ > 0) {
      line({absl::StrCat(regions_left_out_, " regions with less time are in the table below")});
    }
    return text;
  }

  const v1::Timeline& timeline_;
  const Legend& legend_;
  const Style& style_;
  const Bounds bounds_;
  std::vector<Lane> lanes_;
  std::vector<RowLabel> labels_;   // one per row of the canvas
  int label_columns_ = 0;
  double first_ns_ = 1e300, last_ns_ = -1;
  size_t lanes_left_out_ = 0, regions_left_out_ = 0;
  bool bars_ = false, folded_ = false;
};

}  // namespace

std::string DrawLanes(const v1::Timeline& timeline, const Legend& legend, const Style& style, bool key) {
  return LanePainter(timeline, legend, style).Draw(key);
}

}  // namespace sextant::cli

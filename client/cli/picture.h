// The statistical timeline as a picture. One lane per role; for every region instance a bar from the
// median start to the median end, softened where the P20–P80 range of an edge reaches into it, with
// whiskers where it reaches out of it. Where instances are too many or too short to be told apart,
// a lane shows, per region, how much of each column's time was spent in it. Where the timeline holds loops,
// lanes that repeat are folded.
//
// A pure function of message, and style: no clock, no terminal. All names are escaped.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "client/cli/canvas.h"
#include "sextant/v1/sextant.pb.h"

namespace sextant::cli {

// The whole page: title, picture, legend, table, buckets when asked for, notes, provenance.
std::string DrawTimeline(const v1::Timeline& timeline, const Style& style);

// ---- its parts ---------------------------------------------------------------------------------

// Which of the quantiles asked for stand for low, middle and high.
struct Bounds {
  int low = -1, mid = -1, high = -1;
  std::string low_name, mid_name, high_name;   // "P20"
};
Bounds BoundsOf(const v1::Timeline& timeline);
// "P20", "P99.9".
std::string QuantileName(double q);
// values[index], or NaN.
double At(const google::protobuf::RepeatedField<double>& values, int index);

// Lanes by the first median start in them, so that the picture reads from top to bottom.
std::vector<const v1::RoleLane*> LanesInOrder(const v1::Timeline& timeline);

// Letter and colour of every region, in order of first appearance.
class Legend {
 public:
  explicit Legend(const v1::Timeline& timeline);
  std::string Letter(const std::string& region) const;
  int Color(const std::string& region) const;
  const std::vector<std::string>& order() const { return order_; }

 private:
  std::map<std::string, int> index_;
  std::vector<std::string> order_;
};

// `key`: what the signs mean stands below.
std::string DrawLanes(const v1::Timeline& timeline, const Legend& legend, const Style& style, bool key = true);
// Lanes of many instances that are a loop (Timeline.loops) with three instead: prologue, loop, epilogue.
v1::Timeline FoldLanes(const v1::Timeline& timeline, const Style& style);
// Their typical iterations; empty: no lane was folded.
std::string DrawLoops(const v1::Timeline& timeline, const Legend& legend, const Style& style);
// What of each region's time is hidden under another role's work; empty: not asked for.
std::string DrawOverlaps(const v1::Timeline& timeline, const Style& style);
std::string DrawTable(const v1::Timeline& timeline, const Legend& legend, const Style& style);
std::string DrawBuckets(const v1::Timeline& timeline, const Legend& legend, const Style& style);
std::string DrawNotes(const v1::Timeline& timeline, const Style& style);

}  // namespace sextant::cli

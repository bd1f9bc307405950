// Achieved against possible on this chip.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/analysis/pictures/roofline_picture.h"
#include "server/analysis/pictures/text_pictures.h"
#include "server/analysis/sections/section.h"
#include "server/analysis/text.h"

namespace sextant::analysis {
namespace {

std::string Si(double value, const char* unit) { return std::isfinite(value) ? absl::StrCat(WithPrefix(value), unit) : "–"; }

}  // namespace

void WriteRoofline(const ReportInputs& inputs, v1::ReportSection* out) {
  for (const Facts& facts : inputs.kernels) {
    if (!facts.roofline) continue;
    const v1::Roofline& roofline = *facts.roofline;
    NotesOf(inputs, facts, roofline.basis(), out);
    if (roofline.points().empty() && roofline.speed_of_light().empty()) continue;
    StandsOn(roofline.basis(), out);
    const v1::RooflinePoint* main = nullptr;
    for (const v1::RooflinePoint& point : roofline.points())
      if (point.region().empty() && (main == nullptr || point.level() == "DRAM")) main = &point;
    if (main != nullptr)
      Say(out, absl::StrCat(KernelTitle(facts.kernel), " reaches ", Si(main->achieved(), "FLOP/s"), " of the ",
                            Si(main->attainable(), "FLOP/s"), " attainable at its intensity of ", Figure(main->intensity()),
                            " FLOP/B (", ShareText(main->share()), "), bounded by ", Shown(main->bound_by()), "."));
    if (!roofline.points().empty() && !roofline.ceilings().empty()) {
      v1::Picture* picture = out->add_pictures();
      picture->set_name(absl::StrCat("roofline-", out->pictures_size()));
      picture->set_caption(absl::StrCat("Roofline of ", KernelTitle(facts.kernel), ": work per second over work per byte, both logarithmic"));
      picture->set_svg(DrawRoofline(roofline));
    }
    AddText(inputs, facts, "speed of light: % of peak", TextUnits(roofline), out);
    if (!roofline.points().empty()) {
      TableWriter points(out, TableName(inputs, facts, "roofline"));
      points.Column("of").Column("level").Column("work a launch", "FLOP").Column("bytes a launch").Column("intensity", "FLOP/B")
          .Column("achieved", "FLOP/s").Column("attainable", "FLOP/s").Column("share").Column("bound by");
      for (const v1::RooflinePoint& point : roofline.points())
        points.Row({point.region().empty() ? KernelTitle(facts.kernel) : Shown(point.region()), Shown(point.level()), Si(point.work(), ""),
                    Si(point.bytes(), "B"), Figure(point.intensity()), Si(point.achieved(), ""), Si(point.attainable(), ""),
                    ShareText(point.share()), Shown(point.bound_by())});
      points.End(out);
    }
    if (!roofline.speed_of_light().empty()) {
      TableWriter light(out, TableName(inputs, facts, "speed of light"));
      light.Column("unit").Column("achieved", "% of peak").Column("metric");
      for (const v1::SpeedOfLight& one : roofline.speed_of_light())
        light.Row({Shown(one.unit_name()), Figure(one.achieved_pct()), Shown(one.metric())});
      light.End(out);
    }
    if (roofline.ceilings().empty()) continue;
    TableWriter ceilings(out, TableName(inputs, facts, "ceilings"));
    ceilings.Column("ceiling").Column("value").Column("how it is known");
    for (const v1::Ceiling& one : roofline.ceilings())
      ceilings.Row({Shown(one.name()), Si(one.value(), one.unit().c_str()), Shown(one.source())});
    ceilings.End(out);
  }
}

}  // namespace sextant::analysis

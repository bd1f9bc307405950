// `sextant timeline`.
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/picture.h"
#include "client/cli/text.h"

namespace sextant::cli {

int TimelineCommand(Context& context, const TimelineOptions& options) {
  v1::GetTimelineRequest request;
  request.set_job_id(options.job_id);
  request.set_task(options.task);
  auto quantiles = ParseQuantiles(options.quantiles);
  if (!quantiles.ok()) return context.Usage(absl::StrCat("--quantiles: ", quantiles.status().message()));
  for (double q : *quantiles) request.add_quantiles(q);
  request.set_exact(options.exact);
  request.set_buckets(options.buckets);
  request.set_without_instances(options.regions_only);
  request.set_backend(options.backend);
  request.set_include_disturbed(options.include_disturbed);
  request.set_kernel(options.kernel);
  request.set_fold_loops(!options.unfold);
  request.set_overlaps(true);
  auto timeline = context.service().GetTimeline(request);
  if (!timeline.ok()) return context.Fail(timeline.status());
  if (context.json) {
    context.PrintJson(*timeline);
    return kOk;
  }
  Style style;
  style.width = options.width > 0 ? options.width : context.out_terminal.width;
  style.color = context.out_terminal.color;
  style.unicode = context.out_terminal.unicode && !options.ascii;
  context.out << DrawTimeline(*timeline, style) << std::flush;
  return kOk;
}

}  // namespace sextant::cli

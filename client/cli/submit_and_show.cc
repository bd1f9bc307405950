// From a graph and its files to a finished job, and what there is to see of it.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/follow.h"
#include "client/cli/progress.h"
#include "client/cli/table.h"
#include "client/cli/text.h"
#include "client/cli/upload.h"

namespace sextant::cli {
namespace {

// Says at once of a job just submitted what waits because no live worker offers it. Who follows the job
// is told of tasks that cannot be planned by an event.
void NoteWhatWaits(Context& context, int64_t job_id, bool follows) {
  v1::ExplainJobRequest request;
  request.set_job_id(job_id);
  const auto explained = context.service().ExplainJob(request);
  if (!explained.ok()) return;  // only a courtesy
  for (const v1::TaskExplanation& task : explained->tasks()) {
    if (!task.nobody() || (follows && task.waiting_for().empty())) continue;
    context.Note(absl::StrCat("waits: ", Escape(task.why(), 500)));
    context.Note("  it starts when such a worker is there; `--deadline 10m` would give up by itself");
    return;
  }
}

// Passes without a trace have no timeline; what is known of them is how they ended.
int PrintPasses(Context& context, int64_t job_id) {
  v1::ListPassesRequest request;
  request.set_job_id(job_id);
  auto passes = context.service().ListPasses(request);
  if (!passes.ok()) return context.Fail(passes.status());
  if (context.json) {
    context.PrintJson(*passes);
    return kOk;
  }
  Table table({{"pass"}, {"backend"}, {"state"}, {"ended"}, {"wall", Table::Align::kRight},
               {"cpu", Table::Align::kRight}, {"memory", Table::Align::kRight}});
  for (const v1::PassInfo& p : passes->passes()) {
    const v1::ExitReport& exit = p.result().exit();
    table.Add({absl::StrCat("p", p.pass_id()), p.spec().backend(), StateName(p.state()), DescribeExit(exit),
               FormatNs(exit.wall_s() * 1e9), FormatNs(exit.cpu_s() * 1e9), FormatBytes(exit.peak_memory_bytes())});
  }
  context.out << table.Text(context.out_terminal.color, "", context.out_terminal.width);
  return kOk;
}

// The first pass that failed. What the job's failure has said already is not said again.
void PrintFailedPass(Context& context, const v1::GetJobResponse& job) {
  for (const v1::PassInfo& p : job.passes()) {
    if (p.state() != v1::FAILED) continue;
    const std::string exit = DescribeExit(p.result().exit());
    context.err << "  pass p" << p.pass_id() << (exit.empty() ? "" : ": " + exit) << "\n";
    if (!absl::StrContains(job.job().failure().message(), p.result().failure().message()))
      context.err << DescribeFailure(p.result().failure(), "  ");
    context.err << "  its output:  sextant logs p" << p.pass_id() << "\n";
    return;
  }
}

}  // namespace

int SubmitAndShow(Context& context, const v1::SubmitJobRequest& request,
                  const std::map<std::string, std::string>& files, const ShowOptions& options) {
  auto uploaded = UploadMissing(context.service(), files, request.submitter());
  if (!uploaded.ok()) return context.Fail(uploaded.status());
  if (uploaded->sent > 0) {
    context.Note(absl::StrCat("sent ", Plural(uploaded->sent, "file", "files"), ", ",
                              FormatBytes(uploaded->sent_bytes)));
  }
  auto submitted = SubmitSafely(context, request);
  if (!submitted.ok()) return context.Fail(submitted.status());
  if (context.json) context.PrintJson(*submitted);
  const int64_t id = submitted->job_id();
  NoteWhatWaits(context, id, !options.detach);
  if (options.detach) {
    if (!context.json) context.out << id << "\n";
    context.Note(absl::StrCat("follow it:  sextant watch ", id, "    its timeline:  sextant timeline ", id));
    return kOk;
  }
  context.Note(absl::StrCat("job ", id, submitted->existing() ? " (was submitted before)" : ""));

  FollowOptions follow;
  follow.job_id = id;
  auto followed = Follow(context, follow);
  if (!followed.ok()) return context.Fail(followed.status());
  if (followed->detached) return kInterrupted;
  v1::GetJobRequest get;
  get.set_job_id(id);
  get.set_with_passes(true);
  auto job = context.service().GetJob(get);
  if (!job.ok()) return context.Fail(job.status());
  if (context.json) context.PrintJson(job->job());
  const int code = PrintOutcome(context, job->job(), followed->interrupts);
  if (!context.json && job->job().state() == v1::FAILED) PrintFailedPass(context, *job);
  if (code == kInterrupted || options.no_timeline) return code;

  bool trace = false, any = false;
  for (const v1::PassInfo& p : job->passes()) {
    trace = trace || (p.state() == v1::DONE && !p.result().trace_digest().empty());
    any = any || p.state() == v1::DONE;
  }
  if (!any) return code;
  if (!context.json) context.out << "\n";
  int shown = kOk;
  if (trace) {
    TimelineOptions timeline = options.timeline;
    timeline.job_id = id;
    shown = TimelineCommand(context, timeline);
  } else {
    shown = PrintPasses(context, id);
  }
  return code != kOk ? code : shown;
}


}  // namespace sextant::cli

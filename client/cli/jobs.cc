// `sextant jobs`, `job`, `watch`, `cancel`.
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "client/cli/commands.h"
#include "client/cli/follow.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

std::string Took(uint64_t from, uint64_t to) {
  if (from == 0) return "-";
  return FormatNs(static_cast<double>((to == 0 ? std::max(NowUnixNs(), from) : to) - from));
}

std::string Passes(uint32_t done, uint32_t total, uint32_t failed, uint32_t cached, uint32_t running) {
  if (total == 0) return "-";
  std::vector<std::string> more;
  if (running > 0) more.push_back(absl::StrCat(running, " running"));
  if (cached > 0) more.push_back(absl::StrCat(cached, " cached"));
  if (failed > 0) more.push_back(absl::StrCat(failed, " failed"));
  return absl::StrCat(done, "/", total, more.empty() ? "" : absl::StrCat(" (", absl::StrJoin(more, ", "), ")"));
}

void PrintJobHead(Context& context, const v1::JobInfo& job) {
  context.out << context.Bold(absl::StrCat("job ", job.job_id())) << "  " << Escape(job.name(), 80) << "  "
              << PaintState(context, job.state()) << (job.open() ? " (open)" : "") << "\n  submitted "
              << FormatAge(job.created_unix_ns(), NowUnixNs()) << " by " << Escape(job.submitter(), 60)
              << ", priority " << job.priority() << ", took " << Took(job.created_unix_ns(), job.finished_unix_ns())
              << "\n  tasks " << job.tasks_done() << "/" << job.tasks()
              << (job.tasks_failed() > 0 ? absl::StrCat(", ", job.tasks_failed(), " failed") : "")
              << (job.tasks_cancelled() > 0 ? absl::StrCat(", ", job.tasks_cancelled(), " cancelled") : "") << "\n";
  if (job.passes() > 0) {
    context.out << "  passes " << Passes(job.passes_done(), job.passes(), job.passes_failed(),
                                         job.passes_cached(), job.passes_running()) << "\n";
  }
  for (const auto& [key, value] : job.labels()) {
    context.out << "  label " << Escape(key, 60) << "=" << Escape(value, 120) << "\n";
  }
  if (job.has_failure()) context.out << DescribeFailure(job.failure(), "  ");
}

void PrintTasks(Context& context, const v1::GetJobResponse& response) {
  Table table({{"task"}, {"kind"}, {"state"}, {"waiting on", Table::Align::kRight}, {"passes"},
               {"took", Table::Align::kRight}, {"why"}});
  table.set_max_cell(80);
  for (const v1::TaskInfo& t : response.tasks()) {
    table.Add({t.path(), t.kind(), StateName(t.state()), t.waiting_on() > 0 ? absl::StrCat(t.waiting_on()) : "",
               Passes(t.passes_done(), t.passes(), t.passes_failed(), t.passes_cached(), t.passes_running()),
               Took(t.started_unix_ns(), t.finished_unix_ns()), t.failure().message()});
  }
  if (!table.empty()) {
    context.out << "\n" << table.Text(context.out_terminal.color, "  ", context.out_terminal.width);
  }
  if (response.more_tasks()) context.out << "  … more tasks; all of them:  --format json\n";
}

void PrintPassTable(Context& context, const google::protobuf::RepeatedPtrField<v1::PassInfo>& passes) {
  Table table({{"pass"}, {"task"}, {"n", Table::Align::kRight}, {"backend"}, {"state"}, {"source"},
               {"worker"}, {"epoch", Table::Align::kRight}, {"wall", Table::Align::kRight},
               {"instances", Table::Align::kRight}, {"ended"}});
  for (const v1::PassInfo& p : passes) {
    std::string source = v1::Source_IsValid(p.source()) && p.source() != v1::SOURCE_UNSPECIFIED
                             ? absl::AsciiStrToLower(v1::Source_Name(p.source())) : "";
    if (p.source_pass_id() != 0 && p.source_pass_id() != p.pass_id()) absl::StrAppend(&source, " p", p.source_pass_id());
    const bool ended = p.has_result();
    table.Add({absl::StrCat("p", p.pass_id()), p.task(), absl::StrCat(p.ordinal()), p.spec().backend(),
               absl::StrCat(StateName(p.state()), p.phase().empty() ? "" : ":", p.phase()), source, p.worker(),
               absl::StrCat(p.epoch()), ended ? FormatNs(p.result().exit().wall_s() * 1e9) : "",
               ended ? FormatCount(p.result().events()) : "",
               ended ? absl::StrCat(DescribeExit(p.result().exit()),
                                    p.result().has_failure() ? "; " + p.result().failure().message() : "") : ""});
  }
  if (!table.empty()) {
    context.out << "\n" << table.Text(context.out_terminal.color, "  ", context.out_terminal.width);
  }
}

int Explain(Context& context, int64_t job_id) {
  v1::ExplainJobRequest request;
  request.set_job_id(job_id);
  auto response = context.service().ExplainJob(request);
  if (!response.ok()) return context.Fail(response.status());
  if (context.json) {
    context.PrintJson(*response);
    return kOk;
  }
  if (!response->why().empty()) context.out << "\n  " << Escape(response->why(), 500) << "\n";
  for (const v1::TaskExplanation& t : response->tasks()) {
    context.out << "\n  " << context.Bold(Escape(t.task(), 120)) << "  " << PaintState(context, t.state()) << "  "
                << Escape(t.why(), 500) << "\n";
    for (const std::string& what : t.waiting_for()) context.out << "    waits for " << Escape(what, 200) << "\n";
    if (t.ahead_in_queue() > 0) {
      context.out << "    " << Plural(t.ahead_in_queue(), "pass goes", "passes go") << " first\n";
    }
    if (!t.cache().empty()) {
      context.out << "    cache: " << Escape(t.cache(), 40)
                  << (t.cache_key().empty() ? "" : "  key " + Hex(t.cache_key()).substr(0, 16)) << "\n";
    }
    Table table({{"component"}, {"this"}, {"nearest earlier"}});
    for (const v1::KeyComponent& c : t.components()) {
      const bool differs = !c.nearest().empty() && c.nearest() != c.value();
      table.Add({absl::StrCat(differs ? "≠ " : "  ", c.name()), c.value(), differs ? c.nearest() : ""});
    }
    if (!table.empty()) {
      context.out << table.Text(context.out_terminal.color, "      ", context.out_terminal.width);
    }
  }
  return kOk;
}

void PrintEvent(Context& context, const v1::Event& e) {
  if (context.json) {
    context.PrintJson(e);
    return;
  }
  const absl::Time at = absl::FromUnixNanos(static_cast<int64_t>(e.at_unix_ns()));
  context.out << absl::FormatTime("%H:%M:%E3S", at, absl::LocalTimeZone()) << "  "
              << PadRight(Escape(e.what(), 20), 10) << "  " << Escape(e.task(), 100)
              << (e.pass_id() != 0 ? absl::StrCat(e.task().empty() ? "" : " ", "p", e.pass_id()) : "");
  if (e.what() == "percent") context.out << absl::StrFormat("  %.0f %%", e.percent());
  if (e.state() != v1::STATE_UNSPECIFIED) context.out << "  " << PaintState(context, e.state());
  if (!e.message().empty()) context.out << "  " << Escape(e.message(), 300);
  context.out << "\n" << std::flush;
}

}  // namespace

int Jobs(Context& context, const JobsOptions& options) {
  v1::ListJobsRequest request;
  request.set_page_size(options.limit);
  request.set_submitter(options.submitter);
  for (const std::string& name : options.states) {
    v1::State state;
    if (!v1::State_Parse(absl::AsciiStrToUpper(name), &state) || state == v1::STATE_UNSPECIFIED) {
      return context.Usage(absl::StrCat("--state ", Escape(name),
                                        ": write waiting, ready, running, done, failed or cancelled"));
    }
    request.add_states(state);
  }
  for (const std::string& pair : options.labels) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos) return context.Usage(absl::StrCat("--label ", Escape(pair), ": write KEY=VALUE"));
    (*request.mutable_labels())[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  auto response = context.service().ListJobs(request);
  if (!response.ok()) return context.Fail(response.status());
  if (context.json) {
    for (const v1::JobInfo& job : response->jobs()) context.PrintJson(job);
    return kOk;
  }
  if (response->jobs().empty()) {
    context.out << "no jobs; a first one:  sextant run -- ./program\n";
    return kOk;
  }
  Table table({{"job", Table::Align::kRight}, {"name"}, {"state"}, {"tasks", Table::Align::kRight}, {"passes"},
               {"submitter"}, {"submitted"}, {"took", Table::Align::kRight}});
  for (const v1::JobInfo& j : response->jobs()) {
    table.Add({absl::StrCat(j.job_id()), j.name(), StateName(j.state()), absl::StrCat(j.tasks_done(), "/", j.tasks()),
               Passes(j.passes_done(), j.passes(), j.passes_failed(), j.passes_cached(), j.passes_running()),
               j.submitter(), FormatAge(j.created_unix_ns(), NowUnixNs()),
               Took(j.created_unix_ns(), j.finished_unix_ns())});
  }
  context.out << table.Text(context.out_terminal.color, "", context.out_terminal.width);
  if (response->more()) context.out << "… older jobs:  --limit " << options.limit * 5 << "\n";
  return kOk;
}

int Job(Context& context, const JobOptions& options) {
  v1::GetJobRequest request;
  request.set_job_id(options.job_id);
  request.set_with_tasks(true);
  request.set_with_passes(options.passes && context.json);
  request.set_with_specs(options.specs);
  auto response = context.service().GetJob(request);
  if (!response.ok()) return context.Fail(response.status());
  while (context.json && response->more_tasks() && response->tasks_size() > 0) {
    request.set_tasks_after(response->tasks().rbegin()->path());
    auto next = context.service().GetJob(request);
    if (!next.ok()) return context.Fail(next.status());
    response->mutable_tasks()->MergeFrom(next->tasks());
    response->set_more_tasks(next->more_tasks() && next->tasks_size() > 0);
  }
  if (context.json) {
    context.PrintJson(*response);
  } else {
    PrintJobHead(context, response->job());
    PrintTasks(context, *response);
  }
  if (options.passes && !context.json) {
    v1::ListPassesRequest list;
    list.set_job_id(options.job_id);
    v1::ListPassesResponse all;
    do {
      auto page = context.service().ListPasses(list);
      if (!page.ok()) return context.Fail(page.status());
      all.mutable_passes()->MergeFrom(page->passes());
      all.set_more(page->more() && page->passes_size() > 0);
      if (all.passes_size() > 0) list.set_after_pass_id(all.passes().rbegin()->pass_id());
    } while (all.more());
    PrintPassTable(context, all.passes());
  }
  return options.explain ? Explain(context, options.job_id) : kOk;
}

int Watch(Context& context, int64_t job_id, int64_t after_seq) {
  FollowOptions follow;
  follow.job_id = job_id;
  follow.after_seq = after_seq;
  follow.cancel_on_interrupt = false;
  follow.progress = context.err_terminal.tty;
  follow.on_event = [&](const v1::Event& event) { PrintEvent(context, event); };
  auto followed = Follow(context, follow);
  if (!followed.ok()) return context.Fail(followed.status());
  if (followed->detached) return kInterrupted;
  return PrintOutcome(context, followed->job, followed->interrupts);
}

int Cancel(Context& context, int64_t job_id, const std::string& task, const std::string& reason) {
  v1::CancelJobRequest request;
  request.set_job_id(job_id);
  request.set_task(task);
  request.set_reason(reason);
  auto job = context.service().CancelJob(request);
  if (!job.ok()) return context.Fail(job.status());
  if (context.json) {
    context.PrintJson(*job);
  } else {
    context.out << (task.empty() ? absl::StrCat("job ", job_id) : absl::StrCat("task ", Escape(task), " of job ", job_id))
                << ": cancellation asked for; the job is " << StateName(job->state()) << "\n";
  }
  return kOk;
}

}  // namespace sextant::cli

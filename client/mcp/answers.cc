// The tools that ask for analyses.
#include <algorithm>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/mcp/basis.h"
#include "client/mcp/tool.h"
#include "client/mcp/values.h"
#include "client/pass/pass_text.h"
#include "proto/status/status.h"

namespace sextant::mcp {
namespace {

using Stub = v1::Sextant::StubInterface;

constexpr char kNoLine[] = "(no line)";   // as GetHotspots calls it

// A pass that would settle open questions.
struct Proposal {
  std::string text;
  v1::PassSpec spec;
  std::set<std::string> sets;   // of counters, where it is nothing but those
  double cost_s = 0;
  Json settles = Json::array();
};

// One for each pass; of counters those are dropped whose sets another one counts too. What settles most comes
// first; else the order is the diagnosis's, most worth settling first. `open`: what no pass settles.
std::vector<Proposal> Proposals(const google::protobuf::RepeatedPtrField<v1::Abstention>& abstentions, Json* open) {
  std::vector<Proposal> all;
  for (const v1::Abstention& each : abstentions) {
    const std::string question = Clean(each.question(), kSentenceBytes);
    size_t at = 0;
    const auto spec = pass::Parse(each.pass(), &at);
    if (!spec.ok()) {
      open->push_back({{"question", question}, {"why", Clean(each.why(), kSentenceBytes)}});
      continue;
    }
    auto found = std::find_if(all.begin(), all.end(), [&](const Proposal& p) { return p.text == each.pass(); });
    if (found == all.end()) {
      Proposal& made = all.emplace_back();
      made.text = each.pass();
      made.spec = *spec;
      made.cost_s = each.cost_s();
      if (const auto set = spec->options().find("set"); spec->backend() == "counters" && spec->options().size() == 1 &&
                                                        set != spec->options().end())
        made.sets = absl::StrSplit(set->second, '+');
      found = all.end() - 1;
    }
    found->settles.push_back(question);
  }
  for (size_t i = 0; i < all.size();) {
    const auto wider = std::find_if(all.begin(), all.end(), [&](const Proposal& other) {
      return &other != &all[i] && !all[i].sets.empty() && other.sets.size() > all[i].sets.size() &&
             std::includes(other.sets.begin(), other.sets.end(), all[i].sets.begin(), all[i].sets.end());
    });
    if (wider == all.end()) {
      ++i;
      continue;
    }
    for (Json& question : all[i].settles) wider->settles.push_back(std::move(question));
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Proposal& a, const Proposal& b) { return a.settles.size() > b.settles.size(); });
  return all;
}

bool Offered(const v1::ServiceDescription& service, absl::string_view backend) {
  for (const v1::WorkerSummary& worker : service.workers())
    for (const v1::BackendOffer& offer : worker.info().backends())
      if (worker.live() && offer.available() && offer.name() == backend) return true;
  return false;
}

// "cannot tell …", of the first thing that could not be judged; empty: nothing.
std::string CannotTellAnything(const v1::Basis& basis, absl::string_view what) {
  return basis.abstentions().empty()
             ? absl::StrCat("cannot tell ", what)
             : absl::StrCat("cannot tell ", what, ": ", Clean(basis.abstentions(0).why(), kSentenceBytes));
}

}  // namespace

absl::StatusOr<Answer> ExplainBottleneck(ToolCall& call) {
  v1::GetDiagnosisRequest request;
  RETURN_IF_ERROR(FillSubject(call, request.mutable_subject()));
  request.set_top(static_cast<uint32_t>(call.arguments.value("top", 5.0)));
  ASSIGN_OR_RETURN(const auto diagnosis, call.scope->Call(&Stub::GetDiagnosis, request));
  Answer answer;
  Json& json = answer.structured;
  json["answer"] = Clean(diagnosis.verdict(), kSentenceBytes);
  json["findings"] = Json::array();
  for (const v1::Finding& finding : diagnosis.findings()) {
    Json row = {{"claim", Clean(finding.claim(), kSentenceBytes)}, {"confidence", finding.confidence()}};
    if (!finding.kernel().empty()) row["kernel"] = Name(finding.kernel());
    if (!finding.region().empty()) row["region"] = Name(finding.region());
    row["saves_pct"] = Number(finding.saves_share() * 100);
    PutUnlessEmpty("try", Sentences(finding.try_this()), &row);
    PutUnlessEmpty("evidence", Sentences(finding.evidence()), &row);
    PutUnlessEmpty("passes", Ids(finding.pass_ids()), &row);
    row["rule"] = finding.rule();
    json["findings"].push_back(std::move(row));
  }
  Json open = CannotTell(diagnosis.abstentions());
  for (Json& each : CannotTell(diagnosis.basis().abstentions())) open.push_back(std::move(each));
  PutUnlessEmpty("cannot_tell", std::move(open), &json);
  PutUnlessEmpty("notes", Sentences(diagnosis.basis().notes()), &json);
  json["evidence"] = Evidence(diagnosis.basis().passes());
  if (!diagnosis.abstentions().empty())
    json["next"] = Json::array({absl::StrCat("next_pass {\"job_id\":", JobId(call), "}")});
  MarkUntrusted({"kernel", "region", "names in answer, claims, questions and notes"}, &json);
  Fit(kAnswerTokens, &json);
  return answer;
}

absl::StatusOr<Answer> NextPass(ToolCall& call) {
  v1::GetDiagnosisRequest request;
  RETURN_IF_ERROR(FillSubject(call, request.mutable_subject()));
  request.set_top(1);
  ASSIGN_OR_RETURN(const auto diagnosis, call.scope->Call(&Stub::GetDiagnosis, request));
  ASSIGN_OR_RETURN(const auto service, call.scope->Call(&Stub::DescribeService, v1::DescribeServiceRequest()));
  Json open = Json::array();
  std::vector<Proposal> proposals = Proposals(diagnosis.abstentions(), &open);
  Json passes = Json::array();
  double cost_s = 0;
  size_t offered = 0;
  for (const Proposal& each : proposals) {
    const bool here = Offered(service, each.spec.backend());
    offered += here;
    if (here) cost_s += each.cost_s;
    Json row = {{"pass", each.text}, {"cost_s", each.cost_s > 0 ? Number(each.cost_s) : Json(nullptr)},
                {"settles", each.settles}};
    row["offered"] = here;   // by a worker of this service
    passes.push_back(std::move(row));
  }
  Answer answer;
  Json& json = answer.structured;
  if (proposals.empty()) {
    json["answer"] = open.empty() ? "nothing is open that a pass could settle" : "what is open no pass settles";
  } else if (offered == 0) {
    json["answer"] = absl::StrCat(proposals.size(), proposals.size() == 1 ? " pass" : " passes",
                                  " would settle what is open, and no worker of this service offers them");
  } else {
    json["answer"] = absl::StrCat(
        proposals[0].text, " first: it settles most", "; ", offered, offered == 1 ? " pass" : " passes", " in all",
        cost_s > 0 ? absl::StrCat(", ", Dump(Number(cost_s)), " s of the device") : "",
        "; submit the same program with them: what was measured comes from the cache");
  }
  json["passes"] = std::move(passes);
  PutUnlessEmpty("cannot_tell", std::move(open), &json);
  MarkUntrusted({"names in settles"}, &json);
  Fit(kAnswerTokens, &json);
  return answer;
}

absl::StatusOr<Answer> RegionTimeline(ToolCall& call) {
  const bool instances = Text(call.arguments, "detail") == "instances";
  const char* const list = instances ? "instances" : "regions";
  ASSIGN_OR_RETURN(const int64_t at, ParseCursor(list, call.arguments));
  v1::GetTimelineRequest request;
  request.set_job_id(JobId(call));
  request.set_task(Text(call.arguments, "task"));
  ASSIGN_OR_RETURN(*request.mutable_kernel(), KernelOf(call));
  for (const Json& role : call.arguments.value("roles", Json::array())) request.add_roles(role.get<std::string>());
  for (const Json& region : call.arguments.value("regions", Json::array()))
    request.add_regions(region.get<std::string>());
  for (const Json& quantile : call.arguments.value("quantiles", Json::array()))
    request.add_quantiles(quantile.get<double>());
  request.set_fold_loops(!instances);
  request.set_overlaps(!instances);
  request.set_max_instances(instances ? 200 : 0);
  ASSIGN_OR_RETURN(const auto timeline, call.scope->Call(&Stub::GetTimeline, request));
  Answer answer;
  Json& json = answer.structured;
  const int middle = timeline.quantiles_size() / 2;
  json["answer"] = absl::StrCat(
      timeline.program().empty() ? "" : absl::StrCat("program ", Dump(Name(timeline.program(), 80)), ": "),
      timeline.passes(), " passes, ", timeline.lanes_size(), " roles, ", timeline.events(), " instances",
      timeline.dropped() > 0 ? absl::StrCat(" (", timeline.dropped(), " lost)") : "",
      timeline.span_ns_size() > middle
          ? absl::StrCat("; the recorded span is ", Dump(Number(timeline.span_ns(middle))), " ns") : "",
      "; durations in ns at the quantiles");
  json["quantiles"] = Numbers(timeline.quantiles());
  json["span_ns"] = Numbers(timeline.span_ns());
  json["roles"] = Json::array();
  for (const v1::RoleLane& lane : timeline.lanes()) {
    Json row = {{"role", Name(lane.role())}, {"tracks", lane.tracks()}, {"alignment", Clean(lane.alignment())},
                {"confidence", Number(lane.alignment_confidence())}};
    json["roles"].push_back(std::move(row));
  }
  json[list] = Json::array();
  if (instances) {
    for (const v1::RoleLane& lane : timeline.lanes())
      for (const v1::InstanceStat& instance : lane.instances())
        json[list].push_back({{"role", Name(lane.role(), 60)}, {"region", Name(instance.region(), 60)},
                              {"ordinal", instance.ordinal()}, {"start_ns", Numbers(instance.start_ns())},
                              {"duration_ns", Numbers(instance.duration_ns())}, {"count", instance.count()}});
  } else {
    // What takes most time first.
    std::vector<const v1::RegionAggregate*> regions;
    for (const v1::RegionAggregate& region : timeline.regions()) regions.push_back(&region);
    std::stable_sort(regions.begin(), regions.end(), [](const auto* a, const auto* b) { return a->sum_ns() > b->sum_ns(); });
    for (const v1::RegionAggregate* const one : regions) {
      const v1::RegionAggregate& region = *one;
      json[list].push_back({{"role", Name(region.role(), 60)}, {"region", Name(region.region(), 100)},
                            {"count", region.count()}, {"duration_ns", Numbers(region.duration_ns())},
                            {"total_ns", Number(region.sum_ns())}});
    }
    Json loops = Json::array();
    for (const v1::LoopFold& loop : timeline.loops())
      loops.push_back({{"role", Name(loop.role(), 60)}, {"iterations", loop.iterations()},
                       {"period_ns", Numbers(loop.period_ns())}, {"steady_pct", Number(loop.steady_share() * 100)},
                       {"regions", Names(loop.regions())}});
    PutUnlessEmpty("loops", std::move(loops), &json);
    Json overlaps = Json::array();
    for (const v1::RoleOverlap& overlap : timeline.overlaps())
      if (overlap.other_region().empty() && overlaps.size() < 12)   // under any region of the other role
        overlaps.push_back({{"role", Name(overlap.role(), 60)}, {"region", Name(overlap.region(), 60)},
                            {"with", Name(overlap.other_role(), 60)}, {"busy_ns", Number(overlap.busy_ns())},
                            {"hidden_pct", Number(overlap.hidden_share() * 100)},
                            {"exposed_ns", Number(overlap.exposed_ns())}});
    PutUnlessEmpty("overlaps", std::move(overlaps), &json);
  }
  Json disturbed = Json::array();
  for (const v1::Perturbation& each : timeline.perturbation())
    disturbed.push_back({{"kernel", Name(each.kernel())}, {"backend", Clean(each.backend())},
                         {"ratio", Number(each.ratio())}, {"verdict", each.verdict()}});
  PutUnlessEmpty("disturbed", std::move(disturbed), &json);
  PutUnlessEmpty("notes", Sentences(timeline.notes()), &json);
  PutUnlessEmpty("evidence", Evidence(timeline.pass_sets()), &json);
  MarkUntrusted({"role", "region", "kernel", "names in answer and notes"}, &json);
  Page(list, at, &json);
  return answer;
}

absl::StatusOr<Answer> Hotspots(ToolCall& call) {
  ASSIGN_OR_RETURN(const int64_t at, ParseCursor("hotspots", call.arguments));
  v1::GetHotspotsRequest request;
  RETURN_IF_ERROR(FillSubject(call, request.mutable_subject()));
  request.set_by(Text(call.arguments, "by"));
  request.set_within(Text(call.arguments, "within"));
  request.set_top(static_cast<uint32_t>(call.arguments.value("top", 15.0)));
  ASSIGN_OR_RETURN(auto hotspots, call.scope->Call(&Stub::GetHotspots, request));
  // Code without lines is known by its instructions.
  if (request.by().empty() && hotspots.hotspots_size() == 1 && hotspots.hotspots(0).name() == kNoLine) {
    request.set_by("sass");
    ASSIGN_OR_RETURN(hotspots, call.scope->Call(&Stub::GetHotspots, request));
  }
  Answer answer;
  Json& json = answer.structured;
  json["answer"] = absl::StrCat(
      Of(hotspots.basis()),
      hotspots.hotspots().empty()
          ? CannotTellAnything(hotspots.basis(), "what is hot")
          : absl::StrCat(Dump(Name(hotspots.hotspots(0).name())), " has ", Percent(hotspots.hotspots(0).share()),
                         hotspots.total_samples() > 0
                             ? absl::StrCat(" of ", Dump(Number(hotspots.total_samples())), " samples") : " of the time"));
  json["by"] = hotspots.by();
  json["hotspots"] = Json::array();
  for (const v1::Hotspot& spot : hotspots.hotspots()) {
    Json row = {{"name", Name(spot.name())}, {"share_pct", Number(spot.share() * 100)}};
    if (!spot.text().empty()) row["text"] = Clean(spot.text());
    if (!spot.function().empty() && spot.function() != hotspots.basis().kernel())
      row["function"] = Name(spot.function(), 60);
    if (!spot.parent().empty()) row["in"] = Name(spot.parent(), 60);
    if (spot.samples() > 0) row["samples"] = Number(spot.samples());
    if (spot.executed() > 0) row["executed"] = Number(spot.executed());
    if (spot.time_ns() > 0) row["time_ns"] = Number(spot.time_ns());
    PutUnlessEmpty("stalls_pct", Shares(spot.stalls(), 3), &row);
    json["hotspots"].push_back(std::move(row));
  }
  if (hotspots.left_out() > 0) json["beyond_top"] = hotspots.left_out();
  PutBasis(hotspots.basis(), &json);
  MarkUntrusted({"name", "text", "function", "in", "names in answer"}, &json);
  Page("hotspots", at, &json);
  return answer;
}

absl::StatusOr<Answer> CompareJobs(ToolCall& call) {
  ASSIGN_OR_RETURN(const int64_t at, ParseCursor("deltas", call.arguments));
  v1::CompareJobsRequest request;
  request.set_job_a(JobId(call, "job_a"));
  request.set_job_b(JobId(call, "job_b"));
  request.set_task_a(Text(call.arguments, "task_a"));
  request.set_task_b(Text(call.arguments, "task_b"));
  request.set_gate(call.arguments.value("gate_pct", 0.0) / 100);
  request.set_across_machines(call.arguments.value("across_machines", false));
  ASSIGN_OR_RETURN(const auto compared, call.scope->Call(&Stub::CompareJobs, request));
  Answer answer;
  Json& json = answer.structured;
  json["answer"] = absl::StrCat("job ", compared.job_b(), " against job ", compared.job_a(), ": ", compared.verdict(),
                                compared.why().empty() ? "" : "; ", Clean(compared.why(), kSentenceBytes));
  json["verdict"] = compared.verdict();
  json["gate_pct"] = Number(compared.gate() * 100);
  Json environment = Json::array();
  for (const v1::EnvironmentDifference& each : compared.environment())
    environment.push_back({{"what", each.what()}, {"a", Clean(each.a())}, {"b", Clean(each.b())},
                           {"blocks", each.blocks()}});
  PutUnlessEmpty("environment", std::move(environment), &json);
  json["deltas"] = Json::array();
  for (const v1::Delta& delta : compared.deltas()) {
    Json row = {{"kind", delta.kind()}, {"name", Name(delta.name())}};
    if (!delta.role().empty()) row["role"] = Name(delta.role(), 60);
    if (!delta.kernel().empty()) row["kernel"] = Name(delta.kernel(), 60);
    if (!delta.region().empty()) row["region"] = Name(delta.region(), 60);
    row["unit"] = delta.unit();
    row["a"] = delta.passes_a() > 0 ? Number(delta.a()) : Json(nullptr);
    row["b"] = delta.passes_b() > 0 ? Number(delta.b()) : Json(nullptr);
    row["change_pct"] = Number(delta.relative() * 100);
    row["interval_pct"] = Json::array({Number(delta.low() * 100), Number(delta.high() * 100)});
    row["verdict"] = delta.verdict();
    json["deltas"].push_back(std::move(row));
  }
  Json code = Json::array();
  for (const v1::CodeDifference& each : compared.code())
    code.push_back({{"kernel", Name(each.kernel())}, {"level", each.level()}, {"same", each.same()},
                    {"removed", each.removed()}, {"added", each.added()}});
  PutUnlessEmpty("code", std::move(code), &json);
  PutUnlessEmpty("notes", Sentences(compared.notes()), &json);
  MarkUntrusted({"name", "role", "kernel", "region", "names in answer and notes"}, &json);
  Page("deltas", at, &json);
  return answer;
}

absl::StatusOr<Answer> CriticalPath(ToolCall& call) {
  v1::GetCriticalPathRequest request;
  RETURN_IF_ERROR(FillSubject(call, request.mutable_subject()));
  request.set_max_steps(24);
  for (const Json& each : call.arguments.value("what_if", Json::array())) {
    v1::WhatIf& what = *request.add_what_if();
    what.set_role(Text(each, "role"));
    what.set_region(Text(each, "region"));
    what.set_shorten_pct(each["shorten_pct"].get<double>());
  }
  ASSIGN_OR_RETURN(const auto path, call.scope->Call(&Stub::GetCriticalPath, request));
  Answer answer;
  Json& json = answer.structured;
  std::string sentence = absl::StrCat(
      Of(path.basis()), path.ctas() > 0 ? absl::StrCat(path.ctas(), " CTAs judged")
                                        : CannotTellAnything(path.basis(), "what the run depends on"));
  if (const int middle = path.paths_size() / 2; path.paths_size() > 0 && path.paths(middle).shares_size() > 0) {
    const v1::PathShare& first = path.paths(middle).shares(0);
    absl::StrAppend(&sentence, "; ", Dump(Name(first.role(), 60)), "/", Dump(Name(first.region(), 60)), " is ",
                    Percent(first.share()), " of the median path");
  }
  if (path.path_changes()) absl::StrAppend(&sentence, "; slow runs have another path than fast ones");
  json["answer"] = sentence;
  json["paths"] = Json::array();
  for (const v1::CriticalPathAt& each : path.paths()) {
    Json row = {{"quantile", Number(each.quantile())}, {"span_ns", Number(each.span_ns())}};
    Json shares = Json::array();
    // Where all quantiles have the same path, the median's stands for them.
    if (!path.path_changes() && &each != &path.paths(path.paths_size() / 2)) {
      json["paths"].push_back(std::move(row));
      continue;
    }
    for (const v1::PathShare& share : each.shares())
      shares.push_back({{"role", Name(share.role(), 60)}, {"region", Name(share.region(), 60)},
                        {"share_pct", Number(share.share() * 100)}, {"on_path_ns", Number(share.on_path_ns())},
                        {"slack_ns", Number(share.slack_ns())}});
    row["shares"] = std::move(shares);
    json["paths"].push_back(std::move(row));
  }
  Json waits = Json::array();
  for (const v1::BarrierEdge& edge : path.edges())
    waits.push_back({{"barrier", Name(edge.barrier(), 60)}, {"from", Name(edge.from_role(), 60)},
                     {"to", Name(edge.to_role(), 60)}, {"wait_ns", Number(edge.wait_ns())},
                     {"late_pct", Number(edge.late_share() * 100)}});
  PutUnlessEmpty("waits", std::move(waits), &json);
  Json what_if = Json::array();
  for (const v1::WhatIfResult& each : path.what_if())
    what_if.push_back({{"role", Name(each.what().role(), 60)}, {"region", Name(each.what().region(), 60)},
                       {"shorten_pct", Number(each.what().shorten_pct())},
                       {"speedup_pct", Number(each.speedup_pct())}});
  PutUnlessEmpty("what_if", std::move(what_if), &json);
  PutBasis(path.basis(), &json);
  MarkUntrusted({"role", "region", "barrier", "from", "to", "names in answer"}, &json);
  Fit(kAnswerTokens, &json);
  return answer;
}

absl::StatusOr<Answer> Query(ToolCall& call) {
  v1::QueryRequest request;
  request.set_sql(Text(call.arguments, "sql"));
  request.set_max_rows(static_cast<uint32_t>(call.arguments.value("max_rows", 50.0)));
  ASSIGN_OR_RETURN(const auto response, call.scope->Call(&Stub::Query, request));
  Answer answer;
  Json& json = answer.structured;
  json["answer"] = absl::StrCat(response.rows_size(), " rows", response.truncated() ? ", and there are more" : "");
  json["columns"] = Json::array();
  for (const v1::Column& column : response.columns()) {
    std::string name = Clean(column.name(), 60);
    if (!column.unit().empty()) absl::StrAppend(&name, " [", column.unit(), "]");
    json["columns"].push_back(std::move(name));
  }
  json["rows"] = Json::array();
  for (const v1::Row& row : response.rows()) {
    Json cells = Json::array();
    for (const v1::Cell& cell : row.cells())
      cells.push_back(cell.is_null() ? Json(nullptr) : Json(Clean(cell.text(), 200)));
    json["rows"].push_back(std::move(cells));
  }
  json["truncated"] = response.truncated();
  MarkUntrusted({"rows"}, &json);
  Fit(kAnswerTokens, &json);
  if (json.contains("left_out")) json["truncated"] = true;
  return answer;
}

}  // namespace sextant::mcp

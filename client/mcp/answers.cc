// The tools that ask for analyses.
#include <map>

#include "absl/strings/str_cat.h"
#include "client/mcp/basis.h"
#include "client/mcp/tool.h"
#include "client/mcp/values.h"
#include "proto/status/status.h"

namespace sextant::mcp {
namespace {

using Stub = v1::Sextant::StubInterface;

}  // namespace

absl::StatusOr<Answer> ExplainBottleneck(ToolCall& call) {
  v1::GetDiagnosisRequest request;
  FillSubject(call, request.mutable_subject());
  request.set_top(static_cast<uint32_t>(call.arguments.value("top", 5.0)));
  const auto diagnosis = call.scope->Call(&Stub::GetDiagnosis, request);
  if (!diagnosis.ok()) return Missing(diagnosis.status(), "region_timeline, counters, hotspots or query");
  Answer answer;
  Json& json = answer.structured;
  json["answer"] = Clean(diagnosis->verdict(), kSentenceBytes);
  json["findings"] = Json::array();
  for (const v1::Finding& finding : diagnosis->findings()) {
    Json row = {{"claim", Clean(finding.claim(), kSentenceBytes)}, {"confidence", finding.confidence()}};
    if (!finding.kernel().empty()) row["kernel"] = Clean(finding.kernel());
    if (!finding.region().empty()) row["region"] = Clean(finding.region());
    row["saves_pct"] = Number(finding.saves_share() * 100);
    PutUnlessEmpty("try", Sentences(finding.try_this()), &row);
    PutUnlessEmpty("evidence", Sentences(finding.evidence()), &row);
    PutUnlessEmpty("passes", Ids(finding.pass_ids()), &row);
    row["rule"] = finding.rule();
    json["findings"].push_back(std::move(row));
  }
  Json open = CannotTell(diagnosis->abstentions());
  for (Json& each : CannotTell(diagnosis->basis().abstentions())) open.push_back(std::move(each));
  PutUnlessEmpty("cannot_tell", std::move(open), &json);
  PutUnlessEmpty("notes", Sentences(diagnosis->basis().notes()), &json);
  json["evidence"] = Evidence(diagnosis->basis().passes());
  if (!diagnosis->abstentions().empty())
    json["next"] = Json::array({absl::StrCat("next_pass {\"job_id\":", JobId(call), "}")});
  MarkUntrusted({"kernel", "region", "names in claims"}, &json);
  Fit(kAnswerBytes, &json);
  return answer;
}

absl::StatusOr<Answer> NextPass(ToolCall& call) {
  v1::GetDiagnosisRequest request;
  FillSubject(call, request.mutable_subject());
  request.set_top(1);
  const auto diagnosis = call.scope->Call(&Stub::GetDiagnosis, request);
  if (!diagnosis.ok())
    return Missing(diagnosis.status(), "submit_job with question bottleneck and plan_only to see what it would run");
  Answer answer;
  Json& json = answer.structured;
  Json open = Json::array();
  std::map<std::string, Json> passes;   // by the pass: one may settle several questions
  double cost_s = 0;
  for (const v1::Abstention& each : diagnosis->abstentions()) {
    if (each.pass().empty()) {
      open.push_back({{"question", Clean(each.question(), kSentenceBytes)}, {"why", Clean(each.why(), kSentenceBytes)}});
      continue;
    }
    Json& row = passes[each.pass()];
    if (row.is_null()) {
      row = {{"pass", each.pass()}, {"cost_s", each.cost_s() > 0 ? Number(each.cost_s()) : Json(nullptr)},
             {"settles", Json::array()}};
      cost_s += each.cost_s();
    }
    row["settles"].push_back(Clean(each.question(), kSentenceBytes));
  }
  // In the order of the diagnosis: most worth settling first.
  json["passes"] = Json::array();
  for (const v1::Abstention& each : diagnosis->abstentions()) {
    const auto found = passes.find(each.pass());
    if (found == passes.end()) continue;
    json["passes"].push_back(std::move(found->second));
    passes.erase(found);
  }
  const size_t count = json["passes"].size();
  json["answer"] = count == 0
      ? (open.empty() ? "nothing is open that a pass could settle"
                      : "what is open no pass of this service settles")
      : absl::StrCat(count, count == 1 ? " pass" : " passes", " would settle what is open",
                     cost_s > 0 ? absl::StrCat(", ", Dump(Number(cost_s)), " s of the device") : "",
                     "; submit the same program again with these passes: what was measured comes from the cache");
  PutUnlessEmpty("cannot_tell", std::move(open), &json);
  Fit(kAnswerBytes, &json);
  return answer;
}

absl::StatusOr<Answer> RegionTimeline(ToolCall& call) {
  const bool instances = Text(call.arguments, "detail") == "instances";
  const char* const list = instances ? "instances" : "regions";
  ASSIGN_OR_RETURN(const int64_t at, ParseCursor(list, call.arguments));
  v1::GetTimelineRequest request;
  request.set_job_id(JobId(call));
  request.set_task(Text(call.arguments, "task"));
  request.set_kernel(Text(call.arguments, "kernel"));
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
      timeline.program().empty() ? "" : absl::StrCat("program ", Dump(Clean(timeline.program(), 80)), ": "),
      timeline.passes(), " passes, ", timeline.lanes_size(), " roles, ", timeline.events(), " instances",
      timeline.dropped() > 0 ? absl::StrCat(" (", timeline.dropped(), " lost)") : "",
      timeline.span_ns_size() > middle
          ? absl::StrCat("; the recorded span is ", Dump(Number(timeline.span_ns(middle))), " ns") : "",
      "; durations in ns at the quantiles");
  json["quantiles"] = Numbers(timeline.quantiles());
  json["span_ns"] = Numbers(timeline.span_ns());
  json["roles"] = Json::array();
  for (const v1::RoleLane& lane : timeline.lanes()) {
    Json row = {{"role", Clean(lane.role())}, {"tracks", lane.tracks()}, {"alignment", Clean(lane.alignment())},
                {"confidence", Number(lane.alignment_confidence())}};
    json["roles"].push_back(std::move(row));
  }
  json[list] = Json::array();
  if (instances) {
    for (const v1::RoleLane& lane : timeline.lanes())
      for (const v1::InstanceStat& instance : lane.instances())
        json[list].push_back({{"role", Clean(lane.role(), 60)}, {"region", Clean(instance.region(), 60)},
                              {"ordinal", instance.ordinal()}, {"start_ns", Numbers(instance.start_ns())},
                              {"duration_ns", Numbers(instance.duration_ns())}, {"count", instance.count()}});
  } else {
    for (const v1::RegionAggregate& region : timeline.regions())
      json[list].push_back({{"role", Clean(region.role(), 60)}, {"region", Clean(region.region(), 60)},
                            {"count", region.count()}, {"duration_ns", Numbers(region.duration_ns())},
                            {"total_ns", Number(region.sum_ns())}});
    Json loops = Json::array();
    for (const v1::LoopFold& loop : timeline.loops())
      loops.push_back({{"role", Clean(loop.role(), 60)}, {"iterations", loop.iterations()},
                       {"period_ns", Numbers(loop.period_ns())}, {"steady_pct", Number(loop.steady_share() * 100)},
                       {"regions", Sentences(loop.regions())}});
    PutUnlessEmpty("loops", std::move(loops), &json);
    Json overlaps = Json::array();
    for (const v1::RoleOverlap& overlap : timeline.overlaps())
      if (overlaps.size() < 12)
        overlaps.push_back({{"role", Clean(overlap.role(), 60)}, {"region", Clean(overlap.region(), 60)},
                            {"with", Clean(overlap.other_role(), 60)}, {"busy_ns", Number(overlap.busy_ns())},
                            {"hidden_pct", Number(overlap.hidden_share() * 100)}});
    PutUnlessEmpty("overlaps", std::move(overlaps), &json);
  }
  Json disturbed = Json::array();
  for (const v1::Perturbation& each : timeline.perturbation())
    disturbed.push_back({{"kernel", Clean(each.kernel())}, {"backend", Clean(each.backend())},
                         {"ratio", Number(each.ratio())}, {"verdict", each.verdict()}});
  PutUnlessEmpty("disturbed", std::move(disturbed), &json);
  PutUnlessEmpty("notes", Sentences(timeline.notes()), &json);
  PutUnlessEmpty("evidence", Evidence(timeline.pass_sets()), &json);
  MarkUntrusted({"role", "region", "kernel", "program"}, &json);
  Page(list, at, &json);
  return answer;
}

absl::StatusOr<Answer> Hotspots(ToolCall& call) {
  ASSIGN_OR_RETURN(const int64_t at, ParseCursor("hotspots", call.arguments));
  v1::GetHotspotsRequest request;
  FillSubject(call, request.mutable_subject());
  request.set_by(Text(call.arguments, "by"));
  request.set_within(Text(call.arguments, "within"));
  request.set_top(static_cast<uint32_t>(call.arguments.value("top", 15.0)));
  const auto hotspots = call.scope->Call(&Stub::GetHotspots, request);
  if (!hotspots.ok()) return Missing(hotspots.status(), "region_timeline or counters");
  Answer answer;
  Json& json = answer.structured;
  json["answer"] = absl::StrCat(
      Of(hotspots->basis()),
      hotspots->hotspots().empty()
          ? "no samples"
          : absl::StrCat(Dump(Clean(hotspots->hotspots(0).name())), " has ",
                         Percent(hotspots->hotspots(0).share()), " of ", hotspots->total_samples(), " samples"));
  json["by"] = hotspots->by();
  json["hotspots"] = Json::array();
  for (const v1::Hotspot& spot : hotspots->hotspots()) {
    Json row = {{"name", Clean(spot.name())}, {"share_pct", Number(spot.share() * 100)}};
    if (!spot.text().empty()) row["text"] = Clean(spot.text());
    if (!spot.function().empty() && spot.function() != hotspots->basis().kernel())
      row["function"] = Clean(spot.function(), 60);
    if (!spot.parent().empty()) row["in"] = Clean(spot.parent(), 60);
    if (spot.samples() > 0) row["samples"] = Number(spot.samples());
    if (spot.executed() > 0) row["executed"] = Number(spot.executed());
    if (spot.time_ns() > 0) row["time_ns"] = Number(spot.time_ns());
    PutUnlessEmpty("stalls_pct", Shares(spot.stalls(), 3), &row);
    json["hotspots"].push_back(std::move(row));
  }
  if (hotspots->left_out() > 0) json["beyond_top"] = hotspots->left_out();
  PutBasis(hotspots->basis(), &json);
  MarkUntrusted({"name", "text", "function", "in", "kernel"}, &json);
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
    Json row = {{"kind", delta.kind()}, {"name", Clean(delta.name())}};
    if (!delta.role().empty()) row["role"] = Clean(delta.role(), 60);
    if (!delta.kernel().empty()) row["kernel"] = Clean(delta.kernel(), 60);
    if (!delta.region().empty()) row["region"] = Clean(delta.region(), 60);
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
    code.push_back({{"kernel", Clean(each.kernel())}, {"level", each.level()}, {"same", each.same()},
                    {"removed", each.removed()}, {"added", each.added()}});
  PutUnlessEmpty("code", std::move(code), &json);
  PutUnlessEmpty("notes", Sentences(compared.notes()), &json);
  MarkUntrusted({"name", "role", "kernel", "region"}, &json);
  Page("deltas", at, &json);
  return answer;
}

absl::StatusOr<Answer> CriticalPath(ToolCall& call) {
  v1::GetCriticalPathRequest request;
  FillSubject(call, request.mutable_subject());
  request.set_max_steps(24);
  for (const Json& each : call.arguments.value("what_if", Json::array())) {
    v1::WhatIf& what = *request.add_what_if();
    what.set_role(Text(each, "role"));
    what.set_region(Text(each, "region"));
    what.set_shorten_pct(each["shorten_pct"].get<double>());
  }
  const auto path = call.scope->Call(&Stub::GetCriticalPath, request);
  if (!path.ok()) return Missing(path.status(), "region_timeline with its overlaps");
  Answer answer;
  Json& json = answer.structured;
  std::string sentence = absl::StrCat(Of(path->basis()), path->ctas(), " CTAs judged");
  if (const int middle = path->paths_size() / 2; path->paths_size() > 0 && path->paths(middle).shares_size() > 0) {
    const v1::PathShare& first = path->paths(middle).shares(0);
    absl::StrAppend(&sentence, "; ", Dump(Clean(first.role(), 60)), "/", Dump(Clean(first.region(), 60)), " is ",
                    Percent(first.share()), " of the median path");
  }
  if (path->path_changes()) absl::StrAppend(&sentence, "; slow runs have another path than fast ones");
  json["answer"] = sentence;
  json["paths"] = Json::array();
  for (const v1::CriticalPathAt& each : path->paths()) {
    Json row = {{"quantile", Number(each.quantile())}, {"span_ns", Number(each.span_ns())}};
    Json shares = Json::array();
    for (const v1::PathShare& share : each.shares())
      shares.push_back({{"role", Clean(share.role(), 60)}, {"region", Clean(share.region(), 60)},
                        {"share_pct", Number(share.share() * 100)}, {"on_path_ns", Number(share.on_path_ns())},
                        {"slack_ns", Number(share.slack_ns())}});
    row["shares"] = std::move(shares);
    json["paths"].push_back(std::move(row));
  }
  Json waits = Json::array();
  for (const v1::BarrierEdge& edge : path->edges())
    waits.push_back({{"barrier", Clean(edge.barrier(), 60)}, {"from", Clean(edge.from_role(), 60)},
                     {"to", Clean(edge.to_role(), 60)}, {"wait_ns", Number(edge.wait_ns())},
                     {"late_pct", Number(edge.late_share() * 100)}});
  PutUnlessEmpty("waits", std::move(waits), &json);
  Json what_if = Json::array();
  for (const v1::WhatIfResult& each : path->what_if())
    what_if.push_back({{"role", Clean(each.what().role(), 60)}, {"region", Clean(each.what().region(), 60)},
                       {"shorten_pct", Number(each.what().shorten_pct())},
                       {"speedup_pct", Number(each.speedup_pct())}});
  PutUnlessEmpty("what_if", std::move(what_if), &json);
  PutBasis(path->basis(), &json);
  MarkUntrusted({"role", "region", "barrier", "from", "to", "kernel"}, &json);
  Fit(kAnswerBytes, &json);
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
  Fit(kAnswerBytes, &json);
  if (json.contains("left_out")) json["truncated"] = true;
  return answer;
}

}  // namespace sextant::mcp

#include "client/mcp/basis.h"

#include <algorithm>
#include <initializer_list>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/mcp/values.h"
#include "proto/status/status.h"

namespace sextant::mcp {

absl::Status FillSubject(ToolCall& call, v1::Subject* subject) {
  subject->set_job_id(JobId(call));
  subject->set_task(Text(call.arguments, "task"));
  ASSIGN_OR_RETURN(*subject->mutable_kernel(), KernelOf(call));
  return absl::OkStatus();
}

absl::StatusOr<std::string> KernelOf(ToolCall& call) {
  std::string name = Text(call.arguments, "kernel");
  if (!absl::StrContains(name, kEllipsis)) return name;
  v1::GetHotspotsRequest request;
  request.mutable_subject()->set_job_id(JobId(call));
  request.mutable_subject()->set_task(Text(call.arguments, "task"));
  request.set_by("kernel");
  request.set_top(1000);
  ASSIGN_OR_RETURN(const auto kernels, call.scope->Call(&v1::Sextant::StubInterface::GetHotspots, request));
  for (const v1::Hotspot& kernel : kernels.hotspots())
    if (IsShort(name, kernel.name())) return kernel.name();
  return absl::NotFoundError(absl::StrCat("kernel: no kernel of the job is shortened to ", Clean(name, kSentenceBytes),
                                          "; hotspots with by=kernel lists them"));
}

Json Ids(const google::protobuf::RepeatedField<int64_t>& ids) {
  Json json = Json::array();
  for (const int64_t id : ids) {
    if (json.size() == 12) {
      json.push_back(absl::StrCat("and ", ids.size() - 12, " more"));
      break;
    }
    json.push_back(absl::StrCat("p", id));
  }
  return json;
}

Json Evidence(const google::protobuf::RepeatedPtrField<v1::PassSet>& sets) {
  Json rows = Json::array();
  const auto same = [&rows](const Json& wanted, std::initializer_list<const char*> keys) -> Json* {
    for (Json& row : rows)
      if (std::all_of(keys.begin(), keys.end(), [&](const char* key) {
            return row.contains(key) == wanted.contains(key) && (!row.contains(key) || row[key] == wanted[key]);
          }))
        return &row;
    return nullptr;
  };
  for (const v1::PassSet& set : sets) {
    Json row = {{"backend", Clean(set.backend())}, {"passes", Ids(set.pass_ids())}};
    if (!set.used_for().empty()) row["used_for"] = Json::array({set.used_for()});
    if (!set.left_out().empty()) row["left_out"] = Clean(set.left_out(), kSentenceBytes);
    if (Json* const other = same(row, {"backend", "passes", "left_out"}); other != nullptr) {
      for (const Json& use : row.value("used_for", Json::array())) {
        Json& uses = (*other)["used_for"];
        if (std::find(uses.begin(), uses.end(), use) == uses.end()) uses.push_back(use);
      }
    } else if (Json* const alike = row.contains("left_out") ? same(row, {"left_out"}) : nullptr; alike != nullptr) {
      (*alike)["backend"] = absl::StrCat((*alike)["backend"].get<std::string>(), ", ", row["backend"].get<std::string>());
      for (const Json& id : row["passes"]) (*alike)["passes"].push_back(id);
    } else {
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

Json CannotTell(const google::protobuf::RepeatedPtrField<v1::Abstention>& abstentions) {
  Json rows = Json::array();
  for (const v1::Abstention& each : abstentions) {
    Json row = {{"question", Clean(each.question(), kSentenceBytes)}, {"why", Clean(each.why(), kSentenceBytes)}};
    if (!each.pass().empty()) row["pass"] = each.pass();
    if (each.cost_s() > 0) row["cost_s"] = Number(each.cost_s());
    rows.push_back(std::move(row));
  }
  return rows;
}

Json Sentences(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  Json rows = Json::array();
  for (const std::string& text : texts) rows.push_back(Clean(text, kSentenceBytes));
  return rows;
}

Json Names(const google::protobuf::RepeatedPtrField<std::string>& names) {
  Json rows = Json::array();
  for (const std::string& name : names) rows.push_back(Name(name, 60));
  return rows;
}

Json Numbers(const google::protobuf::RepeatedField<double>& values) {
  Json rows = Json::array();
  for (const double value : values) rows.push_back(Number(value));
  return rows;
}

Json Shares(const google::protobuf::RepeatedPtrField<v1::NamedShare>& shares, int most) {
  Json rows = Json::object();
  for (const v1::NamedShare& share : shares) {
    if (static_cast<int>(rows.size()) == most) break;
    rows[Clean(share.name(), 60)] = Number(share.share() * 100);
  }
  return rows;
}

void PutUnlessEmpty(const char* name, Json rows, Json* json) {
  if (!rows.empty()) (*json)[name] = std::move(rows);
}

void PutBasis(const v1::Basis& basis, Json* json) {
  PutUnlessEmpty("cannot_tell", CannotTell(basis.abstentions()), json);
  PutUnlessEmpty("notes", Sentences(basis.notes()), json);
  (*json)["evidence"] = Evidence(basis.passes());
}

std::string Of(const v1::Basis& basis) {
  return basis.kernel().empty() ? "" : absl::StrCat("kernel ", Dump(Name(basis.kernel())), ": ");
}

std::string Percent(double share) { return absl::StrFormat("%.3g %%", share * 100); }

}  // namespace sextant::mcp

#include "client/mcp/basis.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/mcp/values.h"

namespace sextant::mcp {

void FillSubject(const ToolCall& call, v1::Subject* subject) {
  subject->set_job_id(JobId(call));
  subject->set_task(Text(call.arguments, "task"));
  subject->set_kernel(Text(call.arguments, "kernel"));
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
  for (const v1::PassSet& set : sets) {
    Json row = {{"backend", Clean(set.backend())}, {"passes", Ids(set.pass_ids())}};
    if (!set.used_for().empty()) row["used_for"] = set.used_for();
    if (!set.left_out().empty()) row["left_out"] = Clean(set.left_out(), kSentenceBytes);
    rows.push_back(std::move(row));
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
  return basis.kernel().empty() ? "" : absl::StrCat("kernel ", Dump(Clean(basis.kernel())), ": ");
}

std::string Percent(double share) { return absl::StrFormat("%.3g %%", share * 100); }

absl::Status Missing(const absl::Status& status, absl::string_view instead) {
  if (!absl::IsUnimplemented(status)) return status;
  return absl::UnimplementedError(
      absl::StrCat("this service does not offer the analysis; use ", instead));
}

}  // namespace sextant::mcp

// What the answers about a job's passes have in common: whom they are about, what they stand on, what they
// cannot tell.
#pragma once

#include <string>

#include "client/mcp/tool.h"

namespace sextant::mcp {

// From "job_id", "task" and "kernel".
absl::Status FillSubject(ToolCall& call, v1::Subject* subject);
// The argument "kernel"; one that an answer had shortened is looked up.
absl::StatusOr<std::string> KernelOf(ToolCall& call);

// "p12", at most twelve.
Json Ids(const google::protobuf::RepeatedField<int64_t>& ids);
Json Evidence(const google::protobuf::RepeatedPtrField<v1::PassSet>& sets);
Json CannotTell(const google::protobuf::RepeatedPtrField<v1::Abstention>& abstentions);
Json Sentences(const google::protobuf::RepeatedPtrField<std::string>& texts);
Json Names(const google::protobuf::RepeatedPtrField<std::string>& names);
Json Numbers(const google::protobuf::RepeatedField<double>& values);
// Percent by name, the first `most`.
Json Shares(const google::protobuf::RepeatedPtrField<v1::NamedShare>& shares, int most);

void PutUnlessEmpty(const char* name, Json rows, Json* json);
// "cannot_tell", "notes", "evidence".
void PutBasis(const v1::Basis& basis, Json* json);
// "kernel \"mm\": ", where it is known.
std::string Of(const v1::Basis& basis);

std::string Percent(double share);

}  // namespace sextant::mcp

// An error as a program reads it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace sextant {

// Most messages of the service begin with the field and end with "; what to do".
struct Problem {
  std::string code;      // "INVALID_ARGUMENT"
  std::string message;   // whole
  std::string field;     // "graph.tasks[3].name"; empty: of none
  std::string remedy;    // empty: none was given
};

// "graph.tasks[3].name" of "graph.tasks[3].name: …".
inline std::string FieldOf(absl::string_view message) {
  const size_t colon = message.find(": ");
  if (colon == 0 || colon == absl::string_view::npos || colon > 200) return "";
  const absl::string_view field = message.substr(0, colon);
  if (!absl::ascii_islower(static_cast<unsigned char>(field[0]))) return "";
  for (const unsigned char c : field)
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '_' && c != '.' && c != '[' &&
        c != ']')
      return "";
  return std::string(field);
}

inline Problem Explain(const absl::Status& status) {
  Problem problem;
  problem.code = absl::StatusCodeToString(status.code());
  problem.message = std::string(status.message());
  if (problem.message.empty() && status.code() == absl::StatusCode::kUnimplemented)
    problem.message = "this service does not offer the method; update the service";
  if (status.code() == absl::StatusCode::kInvalidArgument) problem.field = FieldOf(status.message());
  const size_t semicolon = problem.message.find("; ");
  if (semicolon != std::string::npos) problem.remedy = problem.message.substr(semicolon + 2);
  return problem;
}

}  // namespace sextant

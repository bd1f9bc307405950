// The two macros with which a Status travels between rooms, each adding what was being done, and the
// remedy it may carry.
//
//   RETURN_IF_ERROR(store.Put(blob), "storing blob ", name);
//   ASSIGN_OR_RETURN(auto job, store.Get(id), "reading job ", id);
//
// The context is put in front of the message; code and remedy stay.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace sextant {

inline constexpr char kRemedyPayload[] = "sextant/remedy";

// The status with a remedy beside its message: what its reader can do about it.
inline absl::Status WithRemedy(absl::Status status, absl::string_view remedy) {
  status.SetPayload(kRemedyPayload, absl::Cord(remedy));
  return status;
}

// The remedy that WithRemedy put there; empty when there is none.
inline std::string RemedyOf(const absl::Status& status) {
  const auto remedy = status.GetPayload(kRemedyPayload);
  return remedy ? std::string(*remedy) : std::string();
}

template <typename... Context>
absl::Status WithContext(const absl::Status& status, const Context&... context) {
  if constexpr (sizeof...(Context) == 0) {
    return status;
  } else {
    absl::Status with(status.code(), absl::StrCat(context..., ": ", status.message()));
    status.ForEachPayload([&with](absl::string_view name, const absl::Cord& payload) {
      with.SetPayload(name, payload);
    });
    return with;
  }
}

}  // namespace sextant

#define SEXTANT_CONCAT_INNER(a, b) a##b
#define SEXTANT_CONCAT(a, b) SEXTANT_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr, ...)                                    \
  do {                                                                \
    if (absl::Status sextant_status_ = (expr); !sextant_status_.ok()) \
      return ::sextant::WithContext(sextant_status_ __VA_OPT__(, ) __VA_ARGS__); \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr, ...) \
  SEXTANT_ASSIGN_OR_RETURN(SEXTANT_CONCAT(sextant_or_, __LINE__), lhs, expr __VA_OPT__(, ) __VA_ARGS__)
#define SEXTANT_ASSIGN_OR_RETURN(tmp, lhs, expr, ...)                          \
  auto tmp = (expr);                                                           \
  if (!tmp.ok()) return ::sextant::WithContext(tmp.status() __VA_OPT__(, ) __VA_ARGS__); \
  lhs = *std::move(tmp)

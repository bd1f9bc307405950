// What the exit code of `sextant` says. The same words stand in `sextant --help`.
#pragma once

#include "absl/status/status.h"

namespace sextant::cli {

inline constexpr int kOk = 0;
inline constexpr int kFailed = 1;        // the job, the program or the verdict; or an internal error
inline constexpr int kUsage = 2;         // the command line, or a local file it names
inline constexpr int kUnreachable = 3;   // no service answered
inline constexpr int kNotFound = 4;      // no such job, task, pass or blob
inline constexpr int kRefused = 5;       // invalid argument, precondition, quota, token, permission, certificate
inline constexpr int kTimeout = 6;
inline constexpr int kInterrupted = 130;

inline constexpr char kExitCodesHelp[] =
    "Exit codes: 0 ok · 1 the job or program failed, or `compare` found B slower · 2 usage · 3 service unreachable · "
    "4 not found · 5 refused (argument, state, quota, token, certificate) · 6 timeout · 130 interrupted";

// The exit code that stands for `status`.
inline int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kOk;
    case absl::StatusCode::kUnavailable:
      return kUnreachable;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kUnimplemented:
      return kRefused;
    case absl::StatusCode::kDeadlineExceeded:
      return kTimeout;
    default:
      return kFailed;
  }
}

}  // namespace sextant::cli

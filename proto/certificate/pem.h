// What certificates and keys in PEM files say; both sides of a TLS connection read them. Errors are
// INVALID_ARGUMENT, begin with the option that named the file ("--tls-cert") and end with a remedy.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct x509_st;

namespace sextant::certificate {

inline constexpr uint64_t kMaxFileBytes = 1 << 20;

struct Certificate {
  std::string subject;              // "CN = profiler.example.org"
  std::string issuer;
  std::vector<std::string> names;   // DNS names and addresses that it is for
  int64_t begins_unix_s = 0;
  int64_t ends_unix_s = 0;
};

// A file's text, at most kMaxFileBytes.
absl::StatusOr<std::string> ReadFile(absl::string_view option, const std::string& path);
// Likewise of a file that other users may neither read nor write.
absl::StatusOr<std::string> ReadSecretFile(absl::string_view option, const std::string& path);

// The certificates of `pem` in their order, at least one. `path` is named in errors.
absl::StatusOr<std::vector<Certificate>> ParseCertificates(absl::string_view option,
                                                           absl::string_view path,
                                                           absl::string_view pem);
Certificate Describe(const x509_st* certificate);

// OK when `key` is a private key without passphrase, and that of the first certificate of `certificates`.
absl::Status CheckKey(absl::string_view option, absl::string_view path, absl::string_view key,
                      absl::string_view certificates);

// "ended on 2026-11-25 12:00 UTC", "begins on …", "ends in 5 days, on …"; empty when it is valid for at least
// `soon_s` more.
std::string ValidityProblem(const Certificate& certificate, int64_t now_unix_s, int64_t soon_s);

// What OpenSSL has said of this thread's last failure, and forgets; "no reason given".
std::string TakeOpenSslError();

}  // namespace sextant::certificate

// The certificate that the TCP ports show, and the authority whose clients they let in.
#pragma once

#include <openssl/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace sextant::tls {

// Paths of PEM files: a certificate with the chain to its authority, its private key, and, when clients
// must show certificates, the authorities that sign those. Empty: none.
struct Files {
  std::string certificate;
  std::string key;
  std::string client_authority;
};

// One reading of the files, which was found right. Not changed once made.
struct Reading {
  uint64_t number = 0;             // of the readings, from 1
  std::string certificate, key, client_authority;   // PEM
  std::vector<std::string> names;  // DNS names and addresses the certificate is for
  int64_t begins_unix_s = 0, ends_unix_s = 0;
  SSL_CTX* context = nullptr;      // for servers: TLS 1.2 or newer, ALPN "http/1.1"

  Reading() = default;
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  ~Reading();
};

// Files that change are read again by themselves, before the next connection: what is right takes
// effect for new connections, what is not is logged and leaves the last reading in force, as between the
// replacement of a certificate and that of its key. Thread-safe.
class Certificates {
 public:
  // `look_every`: the files' times are looked at so often, at most.
  // Null where no certificate is named. INVALID_ARGUMENT names the flag, the file and the remedy. A
  // certificate that has ended is logged.
  static absl::StatusOr<std::unique_ptr<Certificates>> Load(Files files,
                                                            absl::Duration look_every = absl::Seconds(1));

  // The reading in force.
  std::shared_ptr<const Reading> Current();   // shared with connections being made
  bool asks_clients() const { return !files_.client_authority.empty(); }

 private:
  Certificates(Files files, absl::Duration look_every);
  absl::StatusOr<std::shared_ptr<const Reading>> Read(uint64_t number) const;
  // Says that the certificate in force has ended or ends soon, once a day and for each reading.
  void WarnOfEnd(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Files files_;
  const absl::Duration look_every_;
  absl::Mutex mutex_;
  std::shared_ptr<const Reading> current_ ABSL_GUARDED_BY(mutex_);
  std::string stamp_ ABSL_GUARDED_BY(mutex_);   // of the files as they were last read
  absl::Time looked_ ABSL_GUARDED_BY(mutex_);
  absl::Time warn_after_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace sextant::tls

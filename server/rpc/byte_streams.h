// The streams of bytes (UploadBlobs, GetBlob, ExportTrace, UploadTrace), each of which holds a thread: how
// many a tenant may have open, and what ends one before its time.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/access/access.h"
#include "server/rpc/streams.h"

namespace sextant::rpc {

class ByteStream;

// Thread-safe; outlives the streams. Workers, administrators and who was let in without a token are not
// counted.
class ByteStreams {
 public:
  struct Options {
    int threads = 128;                            // that streams have
    absl::Duration idle = absl::Seconds(60);      // without a message, an upload ends
  };
  ByteStreams(access::Access* access, Streams* streams, Options options)
      : access_(access), streams_(streams), options_(options) {}

  // From now on the stream ends with its caller's token. RESOURCE_EXHAUSTED: the caller's tenant has a quarter
  // of the threads, or all tenants together three quarters.
  absl::StatusOr<std::unique_ptr<ByteStream>> Open(const access::Caller& caller, grpc::ServerContext* context);

 private:
  friend class ByteStream;
  // "": not counted.
  absl::Status Take(const std::string& tenant);
  void GiveBack(const std::string& tenant);

  access::Access* const access_;
  Streams* const streams_;
  const Options options_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, int> open_ ABSL_GUARDED_BY(mutex_);   // by tenant
  int all_open_ ABSL_GUARDED_BY(mutex_) = 0;
};

// One of them, of the thread that works on it; its place is free again when it goes.
class ByteStream {
 public:
  ~ByteStream();

  // The next message; false: there is none, or the stream was ended: see ended().
  template <typename Message>
  bool Read(grpc::ServerReader<Message>* reader, Message* message) {
    Wait(absl::Now());
    const bool read = reader->Read(message);
    Wait(absl::InfiniteFuture());
    return read && ended().ok();
  }
  // Why the service ended it: UNAUTHENTICATED, DEADLINE_EXCEEDED. OK: it did not.
  absl::Status ended() const {
    absl::MutexLock lock(&mutex_);
    return ended_;
  }
  // What the call ends with, whose work ended with `status`.
  absl::Status Outcome(absl::Status status) const {
    const absl::Status why = ended();
    return why.ok() ? std::move(status) : why;
  }

 private:
  friend class ByteStreams;
  ByteStream(ByteStreams* all, std::string tenant, grpc::ServerContext* context);

  void Wait(absl::Time since) {
    absl::MutexLock lock(&mutex_);
    waits_since_ = since;
  }
  // Wakes the thread, wherever it waits for the other end.
  void End(const absl::Status& why);
  absl::Status CheckIdle() const;

  ByteStreams* const all_;
  const std::string tenant_;
  grpc::ServerContext* const context_;
  int64_t id_ = 0;   // in Streams
  mutable absl::Mutex mutex_;
  absl::Time waits_since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();   // for a message
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sextant::rpc

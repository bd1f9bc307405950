// How fast traces come in, and what they take.
//
//   bench_ingest [--events N] [--threads N] [--passes N] [--items N] [--direct]
//
// events_per_s_thread        one client thread, in wall time: instances → chunks → digests →
//                            UploadTrace to a real sextantd → checked, rolled up and committed in its
//                            PostgreSQL (durable). --direct: the same without gRPC, in one process
// bytes_per_event_real       of runs of async_pipeline under the host backend's recorder
// bytes_per_event_synthetic  of the events above. Both: growth of all tables that hold traces, with
//                            their indexes, the rollup of the task included
#include <cstdio>
#include <thread>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "bench/database.h"
#include "bench/service.h"
#include "bench/support.h"
#include "bench/synthetic.h"
#include "proto/chunk/encoder.h"
#include "server/job/limits.h"
#include "server/trace/ingest.h"
#include "server/trace/task_rollup.h"
#include "workers/backends/host/results.h"

namespace sextant::bench {
namespace {

constexpr size_t kPiece = 1 << 20;  // instances handed to the encoder at a time
constexpr double kStepNs = 80;

struct Sent {
  uint64_t events = 0;
  uint64_t chunk_bytes = 0;
  std::string trace_digest;
};

// Where traces go: to a service, or straight into a database.
class Target {
 public:
  explicit Target(bool direct) {
    if (!direct) service_ = std::make_unique<Service>();
    std::string conninfo = direct ? "" : service_->Conninfo();
    if (const size_t at = conninfo.find("dbname=postgres"); at != std::string::npos) {
      conninfo.replace(at, 15, absl::StrCat("dbname=", store::kDatabase));
    }
    database_ = std::make_unique<BenchDatabase>(conninfo);
    store_ = std::make_unique<store::TraceStore>(database_->get());
    Check(store_->Today().status());
  }
  store::TraceStore* store() { return store_.get(); }
  Service* service() { return service_.get(); }  // null: direct

 private:
  std::unique_ptr<Service> service_;
  std::unique_ptr<BenchDatabase> database_;
  std::unique_ptr<store::TraceStore> store_;
};

// One upload by one client with a connection of its own.
class Upload {
 public:
  explicit Upload(Target& target) {
    if (target.service() == nullptr) {
      ingest_ = Check(trace::Ingest::Begin(target.store(), job::DefaultLimits()));
      return;
    }
    workers_ = v1::Workers::NewStub(target.service()->NewChannel());
    writer_ = workers_->UploadTrace(&context_, &receipt_);
  }
  chunk::ChunkSink sink() {
    return [this](chunk::EncodedChunk chunk) -> absl::Status {
      sent_.chunk_bytes += chunk.bytes.size();
      if (ingest_ != nullptr) return ingest_->Add(chunk.bytes, chunk.digest);
      v1::TraceUpload message;
      if (chunk.sequence == 0) message.mutable_pass()->set_pass_id(1);
      message.set_chunk(std::move(chunk.bytes));
      message.set_digest(std::move(chunk.digest));
      if (writer_->Write(message)) return absl::OkStatus();
      Must(writer_->Finish(), "UploadTrace");
      return absl::InternalError("UploadTrace ended early");
    };
  }
  Sent Finish() {
    if (ingest_ != nullptr) {
      receipt_ = Check(ingest_->Finish());
    } else {
      writer_->WritesDone();
      Must(writer_->Finish(), "UploadTrace");
    }
    sent_.events = receipt_.events();
    sent_.trace_digest = receipt_.trace_digest();
    return sent_;
  }

 private:
  std::unique_ptr<trace::Ingest> ingest_;
  std::unique_ptr<v1::Workers::Stub> workers_;
  grpc::ClientContext context_;
  v1::TraceReceipt receipt_;
  std::unique_ptr<grpc::ClientWriter<v1::TraceUpload>> writer_;
  Sent sent_;
};

// Time of the client alone: instances to chunks.
double EncodeSeconds(uint64_t events) {
  Synthetic source(99);
  auto instances = source.Next(events, kStepNs);
  const double begin = NowS();
  Check(chunk::EncodeTrace(source.Info(), std::move(instances),
                           [](chunk::EncodedChunk) { return absl::OkStatus(); }));
  return NowS() - begin;
}

// Instances are made beforehand, piece by piece, and their making is not counted.
Sent SendSynthetic(Target& target, uint64_t seed, uint64_t events, double* seconds) {
  Synthetic source(seed);
  Upload upload(target);
  auto encoder = Check(chunk::Encoder::Create(source.Info(), upload.sink()));
  for (uint64_t done = 0; done < events;) {
    auto piece = source.Next(std::min<uint64_t>(kPiece, events - done), kStepNs);
    done += piece.size();
    const double begin = NowS();
    Check(encoder->Add(std::move(piece)));
    *seconds += NowS() - begin;
  }
  const double begin = NowS();
  Check(encoder->Finish());
  const Sent sent = upload.Finish();
  *seconds += NowS() - begin;
  return sent;
}

// Runs the example under the recorder, and sends what it left.
Sent SendReal(Target& target, int items) {
  const Directory results;
  const uint64_t began_ns = static_cast<uint64_t>(NowS() * 1e9);
  const backends::host::ReferenceClock clock;
  Check(RunProgram({SEXTANT_PIPELINE, "--items", std::to_string(items), "--values", "64"},
                   {absl::StrCat("SEXTANT_RESULTS=", results.path())}));
  const auto files = Check(backends::host::ListResults(results.path()));
  backends::host::HostImporter importer(began_ns, clock.Now());
  backends::host::ImportResults(results.path(), files, &importer);
  backends::host::Imported imported = importer.Finish();
  Upload upload(target);
  Check(chunk::EncodeTrace(std::move(imported.trace), std::move(imported.instances), upload.sink()));
  return upload.Finish();
}

// Merges the passes into their task, and tells what all of it takes on disk.
double BytesPerEvent(store::TraceStore* store, int64_t task_id, const std::vector<Sent>& sent,
                     uint64_t before) {
  uint64_t events = 0;
  std::vector<trace::PassTrace> passes;
  for (const Sent& s : sent) {
    events += s.events;
    passes.push_back({static_cast<int64_t>(passes.size()), s.trace_digest});
  }
  Check(trace::MergeTaskRollup(store, task_id, "host", passes).status());
  return static_cast<double>(Check(store->StoredBytes()) - before) / static_cast<double>(events);
}

void Run(uint64_t events, int threads, int passes, int items, bool direct) {
  Target target(direct);
  store::TraceStore& store = *target.store();
  Figures figures;
  std::printf("%-34s %12s %12s %10s %10s\n", "", "events", "events/s", "B chunks", "B on disk");

  const uint64_t encoded = std::min<uint64_t>(events, 8 << 20);
  const double encode_s = EncodeSeconds(encoded);
  std::printf("%-34s %12llu %12.0f\n", "encoding alone", static_cast<unsigned long long>(encoded),
              encoded / encode_s);

  uint64_t before = Check(store.StoredBytes());
  double seconds = 0;
  const Sent one = SendSynthetic(target, 1, events, &seconds);
  const double rate = one.events / seconds;
  const double synthetic = BytesPerEvent(&store, 1, {one}, before);
  std::printf("%-34s %12llu %12.0f %10.2f %10.2f\n", "synthetic, 1 client thread",
              static_cast<unsigned long long>(one.events), rate,
              static_cast<double>(one.chunk_bytes) / one.events, synthetic);
  figures.Add("events_per_s_thread", rate);
  figures.Add("encode_events_per_s", encoded / encode_s);

  if (threads > 1) {
    std::vector<std::thread> clients;
    std::vector<double> spent(threads);
    for (int t = 0; t < threads; ++t) {
      clients.emplace_back([&, t] { SendSynthetic(target, 100 + t, events, &spent[t]); });
    }
    double sum = 0;
    for (int t = 0; t < threads; ++t) {
      clients[t].join();
      sum += events / spent[t];
    }
    std::printf("%-34s %12llu %12.0f\n", absl::StrCat("synthetic, each of ", threads, " threads").c_str(),
                static_cast<unsigned long long>(threads * events), sum / threads);
    figures.Add(absl::StrCat("events_per_s_thread_of_", threads), sum / threads);
  }

  before = Check(store.StoredBytes());
  std::vector<Sent> real;
  uint64_t real_events = 0, real_bytes = 0;
  for (int p = 0; p < passes; ++p) {
    real.push_back(SendReal(target, items));
    real_events += real.back().events;
    real_bytes += real.back().chunk_bytes;
  }
  const double on_disk = BytesPerEvent(&store, 2, real, before);
  std::printf("%-34s %12llu %12s %10.2f %10.2f\n",
              absl::StrCat("async_pipeline, ", passes, " passes").c_str(),
              static_cast<unsigned long long>(real_events), "",
              static_cast<double>(real_bytes) / real_events, on_disk);
  figures.Add("bytes_per_event_real", on_disk);
  figures.Add("bytes_per_event_synthetic", synthetic);
  figures.Add("events", static_cast<double>(events));
  figures.Print("ingest");
}

}  // namespace
}  // namespace sextant::bench

int main(int argc, char** argv) {
  CLI::App app("How fast traces come in, and what they take");
  uint64_t events = 20'000'000;
  int threads = 1, passes = 5, items = 40000;
  bool direct = false;
  app.add_option("--events", events, "synthetic events a client thread sends");
  app.add_option("--threads", threads, "more than 1: also that many client threads at once");
  app.add_option("--passes", passes, "runs of async_pipeline");
  app.add_option("--items", items, "of each run");
  app.add_flag("--direct", direct, "without gRPC: the server's code in this process");
  CLI11_PARSE(app, argc, argv);
  sextant::bench::Run(events, threads, passes, items, direct);
  return 0;
}

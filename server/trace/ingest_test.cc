#include "server/trace/ingest.h"

#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "proto/chunk/encoder.h"
#include "server/store/pq.h"
#include "server/store/test_cluster.h"
#include "server/trace/reader.h"
#include "server/trace/rollup_view.h"
#include "server/trace/task_rollup.h"
#include "tests/catch.h"

namespace sextant::trace {
namespace {

using store::TestDatabase;
using store::TraceStore;

std::vector<chunk::EncodedChunk> Chunks(uint32_t seed, size_t events = 5000,
                                        v1::TimeUnit unit = v1::NANOSECONDS) {
  chunk::TraceInfo info{.kernel = "program",
                        .unit = unit,
                        .regions = {"load", "compute", "late"},
                        .roles = {"worker"},
                        .tracks = {{.warp = 0}, {.warp = 1, .dropped = 9}}};
  std::mt19937_64 random(seed);
  std::vector<chunk::Instance> instances;
  for (size_t i = 0; i < events; ++i) {
    const uint32_t region = i > 4500 ? 2 : static_cast<uint32_t>(random() % 2);
    instances.push_back({static_cast<uint32_t>(random() % 2), region, i * 1000, 100 + random() % 99});
  }
  chunk::Limits limits;
  limits.max_events = 500;
  auto chunks = chunk::EncodeTrace(info, instances, limits);
  REQUIRE(chunks.ok());
  return *chunks;
}

absl::StatusOr<v1::TraceReceipt> Upload(TraceStore& store,
                                        const std::vector<chunk::EncodedChunk>& chunks) {
  auto ingest = Ingest::Begin(&store, v1::ServiceLimits());
  REQUIRE(ingest.ok());
  for (const auto& c : chunks) {
    if (absl::Status s = (*ingest)->Add(c.bytes, c.digest); !s.ok()) return s;
  }
  return (*ingest)->Finish();
}

}  // namespace

TEST_CASE("an upload can be read back as it was sent") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  const auto chunks = Chunks(1);
  auto receipt = Upload(store, chunks);
  REQUIRE(receipt.ok());
  CHECK(receipt->chunks() == 10);
  CHECK(receipt->events() == 5000);
  CHECK(receipt->duplicate_chunks() == 0);

  Reader reader(&store);
  auto summary = reader.Summarize(receipt->trace_digest());
  REQUIRE(summary.ok());
  CHECK(summary->events == 5000);
  CHECK(summary->dropped == 9);
  CHECK(summary->kernel == "program");
  size_t at = 0;
  REQUIRE(reader.Read(receipt->trace_digest(), {}, [&](const chunk::Decoded& d) {
    auto sent = chunk::DecodeUntrusted(chunks[at++].bytes);
    CHECK(d.start == sent->start);
    CHECK(d.duration == sent->duration);
    CHECK(d.ordinal == sent->ordinal);
    return absl::OkStatus();
  }).ok());
  CHECK(at == 10);
  auto rollup = reader.ReadRollup(receipt->trace_digest());
  REQUIRE(rollup.ok());
  CHECK(rollup->events() == 5000);
}

TEST_CASE("reading by region and time leaves other chunks alone") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  const std::string trace = Upload(store, Chunks(1))->trace_digest();
  Reader reader(&store);
  auto count = [&](const ReadRequest& request) {
    int chunks = 0;
    REQUIRE(reader.Read(trace, request, [&](const chunk::Decoded&) {
      ++chunks;
      return absl::OkStatus();
    }).ok());
    return chunks;
  };
  CHECK(count({}) == 10);
  CHECK(count({.regions = {"late"}}) == 1);
  CHECK(count({.regions = {"load"}, .to_ns = 1'200'000}) == 3);
  CHECK(count({.regions = {"never"}}) == 0);
  const absl::Status stop = absl::CancelledError("enough");
  CHECK(reader.Read(trace, {}, [&](const chunk::Decoded&) { return stop; }) == stop);
}

TEST_CASE("sending a trace again is harmless and counted") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  const auto chunks = Chunks(1);
  auto first = Upload(store, {chunks.begin(), chunks.begin() + 4});  // broke off, as if
  auto whole = Upload(store, chunks);
  auto again = Upload(store, chunks);
  REQUIRE(again.ok());
  CHECK(whole->duplicate_chunks() == 4);
  CHECK(again->duplicate_chunks() == 10);
  CHECK(again->trace_digest() == whole->trace_digest());
  CHECK(first->trace_digest() != whole->trace_digest());
}

TEST_CASE("what does not fit together is refused and cannot be read") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  const auto chunks = Chunks(1);
  auto code = [&](std::vector<chunk::EncodedChunk> sent) {
    return Upload(store, sent).status().code();
  };
  auto changed = chunks;
  changed[3].bytes[10] ^= 1;
  CHECK(code(changed) == absl::StatusCode::kDataLoss);
  changed[3].digest = chunk::Digest(changed[3].bytes);
  CHECK_FALSE(Upload(store, changed).ok());
  CHECK(code({chunks[1]}) == absl::StatusCode::kInvalidArgument);
  CHECK(code({chunks[0], chunks[0]}) == absl::StatusCode::kInvalidArgument);
  CHECK(code({}) == absl::StatusCode::kInvalidArgument);
  auto cycles = Chunks(1, 5000, v1::CYCLES);
  CHECK(code({chunks[0], cycles[1]}) == absl::StatusCode::kInvalidArgument);
  CHECK_FALSE(*store.HasTrace(chunk::TraceDigest({chunks[0].digest, chunks[0].digest})));
}

TEST_CASE("limits of the service are named when they are hit") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  v1::ServiceLimits limits;
  limits.set_max_events_per_pass(700);
  auto ingest = Ingest::Begin(&store, limits);
  const auto chunks = Chunks(1);
  REQUIRE((*ingest)->Add(chunks[0].bytes, chunks[0].digest).ok());
  const absl::Status status = (*ingest)->Add(chunks[1].bytes, chunks[1].digest);
  CHECK(status.code() == absl::StatusCode::kResourceExhausted);
  CHECK(absl::StrContains(status.message(), "max_events_per_pass = 700"));
  limits.set_max_chunk_bytes(100);
  ingest = Ingest::Begin(&store, limits);
  CHECK(absl::StrContains((*ingest)->Add(chunks[0].bytes, chunks[0].digest).message(),
                          "max_chunk_bytes"));
}

TEST_CASE("a chunk damaged in the database is noticed") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  const std::string trace = Upload(store, Chunks(1))->trace_digest();
  REQUIRE(database->Transact("damage", [](pqxx::transaction_base& tx) {
    tx.exec("UPDATE trace_chunks SET data = set_byte(data, 30, 1 # get_byte(data, 30)) "
            "WHERE sequence = 5");
    return absl::OkStatus();
  }).ok());
  const absl::Status status =
      Reader(&store).Read(trace, {}, [](const chunk::Decoded&) { return absl::OkStatus(); });
  CHECK(status.code() == absl::StatusCode::kDataLoss);
  CHECK(absl::StrContains(status.message(), "chunk 5"));
}

TEST_CASE("the rollup of a task holds each pass once, however often it is merged") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  std::vector<PassTrace> passes;
  for (uint32_t i = 0; i < 5; ++i) {
    passes.push_back({100 + i, Upload(store, Chunks(i))->trace_digest()});
  }
  auto count = [](const absl::StatusOr<Rollup>& rollup) {
    REQUIRE(rollup.ok());
    uint64_t sum = 0;
    for (const RegionStat& s : RegionStats(*rollup, {0.5})) sum += s.totals.count;
    CHECK(sum == rollup->events());
    return sum;
  };
  CHECK(count(MergeTaskRollup(&store, 1, "host", {})) == 0);
  CHECK(count(MergeTaskRollup(&store, 1, "host", absl::MakeSpan(passes).subspan(0, 3))) == 15000);
  CHECK(count(MergeTaskRollup(&store, 1, "host", passes)) == 25000);
  CHECK(count(MergeTaskRollup(&store, 1, "host", passes)) == 25000);
  CHECK(count(MergeTaskRollup(&store, 1, "host", passes, false)) == 25000);
  CHECK(count(MergeTaskRollup(&store, 1, "other", absl::MakeSpan(passes).subspan(0, 1))) == 5000);

  int skipped = 0;
  passes.push_back({200, std::string(32, 'x')});
  CHECK(count(MergeTaskRollup(&store, 1, "host", passes, true, &skipped)) == 25000);
  CHECK(skipped == 1);
  passes.back() = {201, Upload(store, Chunks(9, 100, v1::CYCLES))->trace_digest()};
  CHECK(MergeTaskRollup(&store, 1, "host", passes).status().code() ==
        absl::StatusCode::kFailedPrecondition);
  passes.pop_back();
  CHECK(count(MergeTaskRollup(&store, 1, "host", passes)) == 25000);
}

TEST_CASE("coordinators that merge the same task at once count each pass once") {
  const auto database = TestDatabase::New(8);
  TraceStore store(database.get());
  std::vector<PassTrace> passes;
  for (uint32_t i = 0; i < 8; ++i) {
    passes.push_back({i, Upload(store, Chunks(i))->trace_digest()});
  }
  std::vector<std::thread> threads;
  std::vector<absl::Status> statuses(4);
  for (size_t i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      statuses[i] =
          MergeTaskRollup(&store, 1, "host", absl::MakeSpan(passes).subspan(i, 5)).status();
    });
  }
  for (auto& t : threads) t.join();
  for (const auto& s : statuses) CHECK(s.ok());
  auto rollup = MergeTaskRollup(&store, 1, "host", passes);
  REQUIRE(rollup.ok());
  CHECK(rollup->events() == 40000);
  CHECK(rollup->passes().size() == 8);
}

TEST_CASE("a task has narrow buckets though its passes are kept with wide ones") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  std::vector<PassTrace> passes;
  for (uint32_t i = 0; i < 20; ++i) {
    chunk::TraceInfo info{.roles = {""}, .tracks = {{}}};
    for (int r = 0; r < 64; ++r) info.regions.push_back("r" + std::to_string(r));
    std::vector<chunk::Instance> instances;
    for (uint32_t e = 0; e < 20000; ++e) {
      instances.push_back({0, e % 64, e * 1000, (i + e) * 37 % 9999});
    }
    passes.push_back({i, Upload(store, *chunk::EncodeTrace(info, instances))->trace_digest()});
  }
  auto one = Reader(&store).ReadRollup(passes[0].trace_digest);
  REQUIRE(one.ok());
  auto task = MergeTaskRollup(&store, 1, "host", passes);
  REQUIRE(task.ok());
  CHECK(one->coarse());
  CHECK(task->events() == 400000);
  CHECK(task->bucket_ns() < one->bucket_ns());
}

}  // namespace sextant::trace

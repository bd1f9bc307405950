#include "server/store/trace_chunks.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "server/store/faults.h"
#include "server/store/pq.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

#include <thread>

namespace sextant::store {
namespace {

std::string DigestOf(int i) {
  std::string digest(32, static_cast<char>(i));
  digest[0] = '\0';  // bytes of all kinds
  return digest;
}

ChunkRow Chunk(int i) {
  ChunkRow chunk;
  chunk.digest = DigestOf(i);
  chunk.sequence = i;
  chunk.events = 10;
  chunk.first_ns = i * 100;
  chunk.last_ns = i * 100 + 150;
  chunk.regions = {static_cast<uint32_t>(i % 3), 7};
  chunk.data = absl::StrCat("data\\x", i, std::string("\0\xff'\"", 4));
  return chunk;
}

TraceRow Trace(const std::string& day, int chunks) {
  TraceRow trace;
  trace.trace_digest = DigestOf(200);
  trace.day = day;
  for (int i = 0; i < chunks; ++i) trace.chunk_digests.push_back(DigestOf(i));
  trace.events = 10 * chunks;
  trace.dropped = 3;
  trace.bytes = 1000;
  trace.last_ns = 5000;
  trace.unit = 1;
  trace.kernel = "kernel µ \"x\"";
  trace.regions = {"load", "a,b", "{c}", "\"d\\", "", "µ", "NULL", "last"};
  trace.roles = {""};
  trace.rollup = std::string("\0\1\2", 3);
  return trace;
}

std::vector<uint32_t> Read(TraceStore& store, const TraceRow& trace, const ChunkFilter& filter) {
  std::vector<uint32_t> sequences;
  const absl::Status status = store.ReadChunks(trace, filter, [&](ChunkRow chunk) {
    CHECK(chunk.data == Chunk(static_cast<int>(chunk.sequence)).data);
    sequences.push_back(chunk.sequence);
    return absl::OkStatus();
  });
  REQUIRE(status.ok());
  return sequences;
}

}  // namespace

TEST_CASE("a trace that was put can be read, whole and in part") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  const std::string day = *store.Today();
  std::vector<ChunkRow> chunks;
  for (int i = 0; i < 40; ++i) chunks.push_back(Chunk(i));
  REQUIRE(*store.PutChunks(day, chunks) == 40);
  REQUIRE(store.PutTrace(Trace(day, 40)).ok());

  auto trace = store.GetTrace(DigestOf(200), true);
  REQUIRE(trace.ok());
  const TraceRow want = Trace(day, 40);
  CHECK(trace->chunk_digests == want.chunk_digests);
  CHECK(trace->regions == want.regions);
  CHECK(trace->roles == want.roles);
  CHECK(trace->kernel == want.kernel);
  CHECK(trace->rollup == want.rollup);
  CHECK(trace->dropped == 3);
  CHECK(store.GetTrace(DigestOf(200), false)->rollup.empty());
  CHECK(*store.HasTrace(DigestOf(200)));
  CHECK_FALSE(*store.HasTrace(DigestOf(201)));
  CHECK(store.GetTrace(DigestOf(201), true).status().code() == absl::StatusCode::kNotFound);

  CHECK(Read(store, *trace, {}).size() == 40);
  CHECK(Read(store, *trace, {.from_ns = 1000, .to_ns = 1200}) ==
        std::vector<uint32_t>{9, 10, 11, 12});
  CHECK(Read(store, *trace, {.regions = {1}, .to_ns = 1000}) == std::vector<uint32_t>{1, 4, 7, 10});
  CHECK(Read(store, *trace, {.regions = {7}}).size() == 40);
  CHECK(Read(store, *trace, {.regions = {6}}).empty());
}

TEST_CASE("putting the same again stores nothing twice") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  const std::string day = *store.Today();
  REQUIRE(*store.PutChunks(day, {Chunk(1), Chunk(2)}) == 2);
  REQUIRE(*store.PutChunks(day, {Chunk(2), Chunk(3)}) == 1);
  TraceRow trace = Trace(day, 0);
  REQUIRE(store.PutTrace(trace).ok());
  REQUIRE(store.PutTrace(trace).ok());
}

TEST_CASE("a commit in doubt is done again and counts once") {
  auto faults = Faults::Parse({"trace_put_chunks.after_commit=drop-after@1",
                               "trace_put.after_commit=drop-after@1"});
  REQUIRE(faults.ok());
  const auto database = TestDatabase::New(4, faults->get());
  TraceStore store(database.get());
  const std::string day = *store.Today();
  REQUIRE(store.PutChunks(day, {Chunk(0), Chunk(1)}).ok());
  REQUIRE(store.PutTrace(Trace(day, 2)).ok());
  CHECK((*faults)->happened() == 2);
  CHECK(Read(store, *store.GetTrace(DigestOf(200), false), {}).size() == 2);
}

TEST_CASE("missing chunks are data loss, not a shorter trace") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  const std::string day = *store.Today();
  REQUIRE(store.PutChunks(day, {Chunk(0)}).ok());
  REQUIRE(store.PutTrace(Trace(day, 2)).ok());
  auto trace = store.GetTrace(DigestOf(200), false);
  CHECK(store.ReadChunks(*trace, {}, [](ChunkRow) { return absl::OkStatus(); }).code() ==
        absl::StatusCode::kDataLoss);
}

TEST_CASE("many that begin a day at once make its table once") {
  const auto database = TestDatabase::New(4);
  std::vector<std::thread> threads;
  std::vector<absl::Status> statuses(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      TraceStore store(database.get());  // one coordinator each
      auto day = store.Today();
      statuses[i] = day.ok() ? store.PutChunks(*day, {Chunk(i)}).status() : day.status();
    });
  }
  for (auto& t : threads) t.join();
  for (const auto& s : statuses) CHECK(s.ok());
}

TEST_CASE("retention drops whole days with their traces, and the day can come back") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  const std::string day = *store.Today();
  REQUIRE(store.PutChunks(day, {Chunk(0)}).ok());
  REQUIRE(store.PutTrace(Trace(day, 1)).ok());
  CHECK(*store.StoredBytes() > 0);
  CHECK(*store.DropDaysBefore(day) == 0);
  CHECK(*store.HasTrace(DigestOf(200)));
  CHECK(*store.DropDaysBefore("9999-12-31") == 1);
  CHECK_FALSE(*store.HasTrace(DigestOf(200)));
  REQUIRE(*store.Today() == day);
  CHECK(*store.PutChunks(day, {Chunk(0)}) == 1);
  CHECK(store.DropDaysBefore("1; DROP--").status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a task's rollup changes under a lock, and keeps what was there when the change fails") {
  const auto database = TestDatabase::New();
  TraceStore store(database.get());
  CHECK(store.GetTaskRollup(5, "host")->rollup.empty());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      CHECK(store.UpdateTaskRollup(5, "host", [&](TraceStore::TaskRollup& r) {
        r.passes.push_back(i);
        r.rollup += "x";
        return absl::OkStatus();
      }).ok());
    });
  }
  for (auto& t : threads) t.join();
  CHECK(store.GetTaskRollup(5, "host")->rollup == "xxxx");
  CHECK(store.GetTaskRollupPasses(5, "host")->size() == 4);
  CHECK(store.GetTaskRollupPasses(5, "proton")->empty());
  const auto fails = [](TraceStore::TaskRollup& r) {
    r.rollup = "lost";
    return absl::InternalError("no");
  };
  CHECK(store.UpdateTaskRollup(5, "host", fails) == absl::InternalError("no"));
  CHECK(store.GetTaskRollup(5, "host")->rollup == "xxxx");
}

}  // namespace sextant::store

#include "server/store/blobs.h"

#include <openssl/sha.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "server/job/limits.h"
#include "server/store/faults.h"
#include "server/store/holdings.h"
#include "server/store/pq.h"
#include "server/store/test_cluster.h"
#include "tests/catch.h"

namespace sextant::store {
namespace {

std::string Sha(const std::string& bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return std::string(reinterpret_cast<const char*>(digest), sizeof digest);
}

// Bytes that do not repeat within a row, zeros among them.
std::string Pattern(size_t size, unsigned seed = 1) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return bytes;
}

struct Scene {
  explicit Scene(const std::vector<std::string>& specs = {})
      : faults(*Faults::Parse(specs)),
        database(TestDatabase::New(8, faults.get())),
        limits(job::DefaultLimits()),
        blobs(database.get(), limits) {}
  int64_t Number(const std::string& sql) {
    int64_t number = -1;
    CHECK(database->Read("number", [&](pqxx::transaction_base& tx) {
      number = tx.exec(sql).at(0).at(0).as<int64_t>();
      return absl::OkStatus();
    }).ok());
    return number;
  }
  void Exec(const std::string& sql) {
    CHECK(database->Transact("exec", [&](pqxx::transaction_base& tx) {
      tx.exec(sql);
      return absl::OkStatus();
    }).ok());
  }
  std::unique_ptr<Faults> faults;
  std::unique_ptr<Database> database;
  v1::ServiceLimits limits;
  BlobStore blobs;
};

TEST_CASE("a blob comes back as it was sent, whole and in parts") {
  Scene scene;
  for (const size_t size : {0, 1, 1 << 20, (1 << 20) + 1, 3 << 20, (5 << 19) + 7}) {
    const std::string bytes = Pattern(size), digest = Sha(bytes);
    auto writer = *scene.blobs.Write(digest, size, {"", "ann", scene.limits.blob_quota_bytes()});
    for (size_t at = 0; at < size; at += 700'000)
      REQUIRE(writer->Write(std::string_view(bytes).substr(at, 700'000)).ok());
    CHECK_FALSE(scene.blobs.Missing({digest}, Reach::All())->empty());
    REQUIRE(writer->Finish() == absl::OkStatus());
    CHECK(scene.blobs.Missing({digest}, Reach::All())->empty());
    CHECK(*scene.blobs.ReadAll(digest, size) == bytes);
    if (size < 2) continue;
    for (const auto& [offset, length] : {std::pair<uint64_t, uint64_t>{0, 1},
                                         {size - 1, 0},
                                         {size / 2, size},
                                         {size / 3, size / 2},
                                         {size, 0}}) {
      std::string part;
      CHECK(scene.blobs.Read(Reach::All(), digest, offset, length, [&](std::string_view data, uint64_t whole) {
        CHECK(whole == size);
        part.append(data);
        return absl::OkStatus();
      }).ok());
      CHECK(part == (length == 0 ? bytes.substr(offset) : bytes.substr(offset, length)));
    }
  }
  CHECK(scene.blobs.ReadAll(Sha("?"), 10).status().code() == absl::StatusCode::kNotFound);
  CHECK(scene.blobs.Read(Reach::All(), Sha(""), 1, 0, [](auto, auto) { return absl::OkStatus(); }).code() ==
        absl::StatusCode::kOutOfRange);
  CHECK(scene.blobs.ReadAll(Sha(Pattern(1 << 20)), 10).status().code() ==
        absl::StatusCode::kResourceExhausted);
}

TEST_CASE("bytes that are not what was announced are refused and leave nothing") {
  Scene scene;
  const std::string bytes = Pattern(3 << 20);
  auto send = [&](const std::string& digest, uint64_t size) {
    auto writer = *scene.blobs.Write(digest, size, {"", "ann", scene.limits.blob_quota_bytes()});
    for (size_t at = 0; at < bytes.size(); at += 1 << 20) {
      if (auto status = writer->Write(bytes.substr(at, 1 << 20)); !status.ok()) return status;
    }
    return writer->Finish();
  };
  const absl::Status other = send(Sha("other"), bytes.size());
  CHECK(other.code() == absl::StatusCode::kInvalidArgument);
  CHECK(absl::StartsWith(other.message(), "digest: "));
  CHECK(absl::StartsWith(send(Sha(bytes), bytes.size() + 1).message(), "size_bytes: "));
  CHECK(absl::StartsWith(send(Sha(bytes), bytes.size() - 1).message(), "data: "));
  CHECK(scene.Number("SELECT count(*) FROM blob_chunks") == 0);
  CHECK(scene.Number("SELECT count(*) FROM blobs") == 0);
  CHECK(scene.blobs.Write("short", 1, {"", "ann", scene.limits.blob_quota_bytes()}).status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(scene.blobs.Missing({"short"}, Reach::All()).status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(scene.blobs.Write(Sha("x"), scene.limits.max_blob_bytes() + 1, {"", "ann", scene.limits.blob_quota_bytes()}).status().code() ==
        absl::StatusCode::kResourceExhausted);
  auto writer = *scene.blobs.Write(Sha("x"), 4 << 20, {"", "ann", scene.limits.blob_quota_bytes()});
  CHECK(absl::StrContains(writer->Write(Pattern((1 << 20) + 1)).message(), "max_blob_chunk_bytes"));
}

TEST_CASE("of concurrent uploads of the same bytes one is kept") {
  Scene scene;
  const std::string bytes = Pattern(2'500'000), digest = Sha(bytes);
  std::vector<std::thread> senders;
  for (int i = 0; i < 6; ++i) {
    senders.emplace_back([&] { CHECK(scene.blobs.Put(digest, bytes, "ann") == absl::OkStatus()); });
  }
  for (std::thread& sender : senders) sender.join();
  CHECK(scene.Number("SELECT count(*) FROM blobs") == 1);
  CHECK(scene.Number("SELECT count(*) FROM blob_chunks") == 3);
  CHECK(scene.Number("SELECT bytes FROM blob_usage WHERE submitter = 'ann'") == 2'500'000);
  CHECK(*scene.blobs.ReadAll(digest, 1 << 30) == bytes);
  auto again = *scene.blobs.Write(digest, bytes.size(), {"", "bob", scene.limits.blob_quota_bytes()});
  CHECK(again->already_there());
  CHECK(again->Finish().ok());
  CHECK(scene.Number("SELECT count(*) FROM blob_usage") == 1);
}

TEST_CASE("a quota is kept, also by uploads that began before it was used up") {
  Scene scene;
  scene.limits.set_blob_quota_bytes(1000);
  BlobStore blobs(scene.database.get(), scene.limits);
  const std::string first = Pattern(600, 1), second = Pattern(600, 2);
  auto a = *blobs.Write(Sha(first), 600, {"", "ann", scene.limits.blob_quota_bytes()});
  auto b = *blobs.Write(Sha(second), 600, {"", "ann", scene.limits.blob_quota_bytes()});
  CHECK(a->Write(first).ok());
  CHECK(b->Write(second).ok());
  CHECK(a->Finish().ok());
  const absl::Status over = b->Finish();
  CHECK(over.code() == absl::StatusCode::kResourceExhausted);
  CHECK(absl::StartsWith(over.message(), "blob_quota_bytes: "));
  CHECK(blobs.Put(Sha(second), second, "ann").code() == absl::StatusCode::kResourceExhausted);
  CHECK(blobs.Put(Sha(second), second, "bob").ok());
  b.reset();
  CHECK(scene.Number("SELECT count(*) FROM blob_chunks") == 2);
}

TEST_CASE("an upload counts once when replies are lost and connections drop") {
  for (const char* spec : {"blob_finish.after_commit=drop-after@1", "blob_finish.before_commit=drop@1",
                           "blob_chunk.after_commit=drop-after@1", "blob_chunk.before_commit=drop@1"}) {
    Scene scene({spec});
    const std::string bytes = Pattern(2'200'000), digest = Sha(bytes);
    CHECK(scene.blobs.Put(digest, bytes, "ann") == absl::OkStatus());
    CHECK(scene.faults->happened() == 1);
    CHECK(*scene.blobs.ReadAll(digest, 1 << 30) == bytes);
    CHECK(scene.Number("SELECT bytes FROM blob_usage") == 2'200'000);
    CHECK(scene.Number("SELECT count(*) FROM blob_chunks") == 3);
  }
}

TEST_CASE("lists come in pages with what is used") {
  Scene scene;
  for (unsigned i = 0; i < 5; ++i)
    CHECK(scene.blobs.Put(Sha(Pattern(10, i)), Pattern(10, i), i < 3 ? "ann" : "bob").ok());
  v1::ListBlobsRequest request;
  request.set_page_size(2);
  request.set_submitter("ann");
  auto page = *scene.blobs.List(request, Reach::All(), 7);
  CHECK(page.blobs_size() == 2);
  CHECK(page.more());
  CHECK(page.used_bytes() == 30);
  CHECK(page.quota_bytes() == 7);
  CHECK(page.blobs(0).created_unix_ns() > 1'600'000'000'000'000'000u);
  request.set_after_digest(page.blobs(1).digest());
  page = *scene.blobs.List(request, Reach::All(), 7);
  CHECK(page.blobs_size() == 1);
  CHECK_FALSE(page.more());
  request.Clear();
  CHECK(scene.blobs.List(request, Reach::All(), 7)->used_bytes() == 50);
}

TEST_CASE("garbage is what nobody finished, and what nobody used since the oldest job began") {
  Scene scene;
  for (const char* name : {"old", "used", "new"})
    REQUIRE(scene.blobs.Put(Sha(name), name, "ann").ok());
  auto half = *scene.blobs.Write(Sha("half"), 5 << 20, {"", "ann", scene.limits.blob_quota_bytes()});
  for (int i = 0; i < 3; ++i) REQUIRE(half->Write(Pattern(1 << 20)).ok());
  const int64_t half_rows = scene.Number("SELECT count(*) FROM blob_chunks") - 3;
  CHECK(half_rows == 2);
  scene.Exec("UPDATE blobs SET used_at = now() - interval '40 days' WHERE size_bytes < 5");
  REQUIRE(scene.blobs.Touch({Sha("used")}).ok());
  scene.Exec("UPDATE blobs SET used_at = now() - interval '10 days' WHERE digest = sha256('new')");
  const std::string a_job =
      "INSERT INTO jobs (submitter, request_id, graph_digest, name, state, open, priority, fresh,"
      " keep, salt, labels, created_at) VALUES ('ann', 'r', '', 'j', 3, false, 0, false, false, '',"
      " '{}', now() - interval '41 days')";

  SECTION("an upload that somebody added to lately is left alone, an old one is removed") {
    CHECK(scene.blobs.CollectGarbage({})->uploads == 0);
    scene.Exec("UPDATE blob_chunks SET stored_at = now() - interval '2 days'");
    const auto removed = *scene.blobs.CollectGarbage({});
    CHECK(removed.uploads == 1);
    CHECK(scene.Number("SELECT count(*) FROM blob_chunks") == 2);
    REQUIRE(half->Write(Pattern(2 << 19)).ok());
    REQUIRE(half->Write(Pattern(2 << 19)).ok());
    CHECK_FALSE(half->Finish().ok());
  }
  SECTION("a blob that nobody used for long goes, and its owner has the room back") {
    const auto removed = *scene.blobs.CollectGarbage({});
    CHECK(removed.blobs == 1);
    CHECK(removed.bytes == 3);
    CHECK(*scene.blobs.Missing({Sha("old"), Sha("used"), Sha("new")}, Reach::All()) ==
          std::vector<std::string>{Sha("old")});
    CHECK(scene.Number("SELECT bytes FROM blob_usage") == 7);
  }
  SECTION("while an older job is there, nothing it may refer to goes") {
    scene.Exec(a_job);
    CHECK(scene.blobs.CollectGarbage({})->blobs == 0);
    scene.Exec("DELETE FROM jobs");
    CHECK(scene.blobs.CollectGarbage({})->blobs == 1);
  }
}

TEST_CASE("a blob last used long ago that a job names is not collected") {
  Scene scene;
  for (const char* name : {"named", "other"}) {
    auto writer = *scene.blobs.Write(Sha(name), 5, {"a", "ann", scene.limits.blob_quota_bytes()});
    REQUIRE(writer->Write(name).ok());
    REQUIRE(writer->Finish().ok());
  }
  scene.Exec("UPDATE blobs SET used_at = now() - interval '40 days'");
  scene.Exec("UPDATE holdings SET used_at = now() - interval '40 days'");
  REQUIRE(scene.database->Transact("hold", [](pqxx::transaction_base& tx) {
    Hold(tx, {{"a", "ann", {Sha("named")}, {}}});
    return absl::OkStatus();
  }).ok());
  CHECK(scene.blobs.CollectGarbage({})->blobs == 1);
  CHECK(*scene.blobs.Missing({Sha("named"), Sha("other")}, Reach::Of("a")) ==
        std::vector<std::string>{Sha("other")});
}

}  // namespace
}  // namespace sextant::store

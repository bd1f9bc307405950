// Files of the injection library, written by its own writer and read back; then by a hostile one.
#include "workers/backends/injected/reader.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/catch.h"
#include "workers/inject/record_file.h"
#include "workers/inject/texts.h"

namespace sextant::backends::injected {
namespace {

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/sextant-reader-test-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path Only(const std::string& instrument = "activity") const {
    bool truncated = false;
    const auto names = ListFiles(path_, instrument, &truncated);
    REQUIRE(names.ok());
    REQUIRE(names->size() == 1);
    return path_ / names->front();
  }

 private:
  std::filesystem::path path_;
};

struct Seen {
  std::vector<std::pair<uint32_t, std::string>> frames;
  FrameSink Sink() {
    return [this](const Process&, uint32_t type, std::string_view payload) {
      frames.emplace_back(type, payload);
    };
  }
};

std::string BytesOf(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

TEST_CASE("what the library writes is what is read") {
  const Folder folder;
  inject::RecordFile file;
  REQUIRE(file.Open(folder.path().c_str(), "activity"));
  inject::Texts texts(file);
  const uint32_t hello = texts.Id("hello");
  CHECK(texts.Id("hello") == hello);
  const uint32_t world = texts.Id("world");
  CHECK(texts.Id("") == 0);
  file.Note("a sentence");
  const inject::ModuleRecord module = {.module = 7};
  file.Append(inject::kModule, &module, sizeof(module));
  file.Append(99, "abc", 3);
  file.SetState(inject::kStarted);

  Seen seen;
  const auto process = ReadFile(folder.Only(), seen.Sink());
  REQUIRE(process.ok());
  CHECK(process->header.pid == static_cast<uint32_t>(getpid()));
  CHECK(process->header.state == inject::kStarted);
  CHECK(process->header.instrument == "activity");
  CHECK(process->header.process_start_ticks > 0);
  CHECK_FALSE(process->header.torn);
  CHECK(process->Text(hello) == "hello");
  CHECK(process->Text(world) == "world");
  CHECK(process->Text(12345).empty());
  CHECK(process->notes == std::vector<std::string>{"a sentence"});
  REQUIRE(process->modules.size() == 1);
  CHECK(process->modules[0].module == 7);
  REQUIRE(seen.frames.size() == 1);
  CHECK(seen.frames[0] == std::make_pair(uint32_t{99}, std::string("abc")));
}

TEST_CASE("a process that is killed while it writes leaves whole frames") {
  const Folder folder;
  const pid_t child = fork();
  if (child == 0) {
    inject::RecordFile file;
    file.Open(folder.path().c_str(), "activity");
    file.SetState(inject::kStarted);
    const std::string payload(5000, 'x');
    for (int i = 0;; ++i) {
      file.Append(99, payload.data(), payload.size());
      if (i == 1000) kill(getpid(), SIGKILL);
    }
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  Seen seen;
  const auto process = ReadFile(folder.Only(), seen.Sink());
  REQUIRE(process.ok());
  CHECK(process->header.state == inject::kStarted);
  CHECK(process->header.foreign == 0);
  REQUIRE(seen.frames.size() >= 1000);
  CHECK(seen.frames.back().second == std::string(5000, 'x'));
}

TEST_CASE("threads that write at once do not mix their frames") {
  const Folder folder;
  inject::RecordFile file;
  REQUIRE(file.Open(folder.path().c_str(), "activity"));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&file, t] {
      for (int i = 0; i < 500; ++i) {
        const std::string payload(static_cast<size_t>(i), static_cast<char>('a' + t));
        file.Append(100 + static_cast<uint32_t>(t), payload.data(), payload.size());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Seen seen;
  const auto process = ReadFile(folder.Only(), seen.Sink());
  REQUIRE(process.ok());
  CHECK(seen.frames.size() == 2000);
  for (const auto& [type, payload] : seen.frames) {
    CHECK(payload == std::string(payload.size(), static_cast<char>('a' + type - 100)));
  }
}

TEST_CASE("a limit on file size ends the recording and not the program") {
  const Folder folder;
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit = {64 * 1024, 64 * 1024};
    setrlimit(RLIMIT_FSIZE, &limit);
    inject::RecordFile file;
    file.Open(folder.path().c_str(), "activity");
    const std::string payload(10'000, 'x');
    for (int i = 0; i < 10; ++i) file.Append(99, payload.data(), payload.size());
    _exit(file.header().dropped_frames > 0 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  Seen seen;
  const auto process = ReadFile(folder.Only(), seen.Sink());
  REQUIRE(process.ok());
  CHECK(seen.frames.size() == 6);
  CHECK(process->header.dropped_frames == 4);
}

TEST_CASE("a forked child leaves its parent's file alone") {
  const Folder folder;
  inject::RecordFile file;
  REQUIRE(file.Open(folder.path().c_str(), "activity"));
  const pid_t child = fork();
  if (child == 0) {
    file.ForkedChild();
    const bool appended = file.Append(99, "child", 5);
    file.SetState(inject::kStopped);
    _exit(appended ? 1 : 0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
  file.Append(99, "parent", 6);
  Seen seen;
  const auto process = ReadFile(folder.Only(), seen.Sink());
  REQUIRE(process.ok());
  CHECK(process->header.state == inject::kOpened);
  REQUIRE(seen.frames.size() == 1);
  CHECK(seen.frames[0].second == "parent");
}

TEST_CASE("a file cut anywhere gives what came before") {
  const Folder folder;
  {
    inject::RecordFile file;
    REQUIRE(file.Open(folder.path().c_str(), "activity"));
    for (int i = 0; i < 5; ++i) file.Append(99, "0123456789", 10);
  }
  const std::string whole = BytesOf(folder.Only());
  REQUIRE(whole.size() == inject::kHeaderBytes + 5 * (16 + 16));
  for (size_t length = 0; length <= whole.size(); ++length) {
    Seen seen;
    const std::string cut(whole.data(), length);
    const auto process = ReadBytesUntrusted(cut, seen.Sink());
    REQUIRE(process.ok() == (length >= inject::kHeaderBytes));
    if (!process.ok()) continue;
    const size_t beyond = length - inject::kHeaderBytes;
    CHECK(seen.frames.size() == beyond / 32);
    CHECK(process->header.torn == (beyond % 32 != 0));
  }
}

TEST_CASE("a damaged byte ends the reading at its frame") {
  const Folder folder;
  {
    inject::RecordFile file;
    REQUIRE(file.Open(folder.path().c_str(), "activity"));
    for (int i = 0; i < 3; ++i) file.Append(99, "0123456789", 10);
  }
  std::string bytes = BytesOf(folder.Only());
  bytes[inject::kHeaderBytes + 32 + 16 + 3] ^= 1;  // in the payload of the second
  Seen seen;
  const auto process = ReadBytesUntrusted(bytes, seen.Sink());
  REQUIRE(process.ok());
  CHECK(seen.frames.size() == 1);
  CHECK(process->header.foreign == 1);
}

TEST_CASE("files that are none of ours are refused, and links are not followed") {
  const Folder folder;
  {
    inject::RecordFile file;
    REQUIRE(file.Open(folder.path().c_str(), "activity"));
  }
  const std::filesystem::path good = folder.Only();
  std::string bytes = BytesOf(good);
  Seen seen;
  bytes[0] = 'x';
  CHECK_THAT(std::string(ReadBytesUntrusted(bytes, seen.Sink()).status().message()),
             Catch::Contains("magic"));
  bytes[0] = 'S';
  bytes[8] = 2;
  CHECK_THAT(std::string(ReadBytesUntrusted(bytes, seen.Sink()).status().message()),
             Catch::Contains("version 2, this worker reads 1"));
  bytes[8] = 1;
  bytes[12] = 77;
  CHECK_THAT(std::string(ReadBytesUntrusted(bytes, seen.Sink()).status().message()),
             Catch::Contains("state 77"));
  const std::filesystem::path link = folder.path() / "inject-1-activity.bin";
  std::filesystem::create_symlink(good, link);
  CHECK_FALSE(ReadFile(link, seen.Sink()).ok());
  const std::filesystem::path fifo = folder.path() / "inject-2-activity.bin";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK_FALSE(ReadFile(fifo, seen.Sink()).ok());
}

TEST_CASE("names out of turn are not taken") {
  const Folder folder;
  inject::RecordFile file;
  REQUIRE(file.Open(folder.path().c_str(), "activity"));
  const auto text = [&](uint64_t id, const std::string& name) {
    file.Append(inject::kText, &id, sizeof(id), name.data(), name.size());
  };
  text(5, "too early");
  text(1, "one");
  text(1, "again");
  text(UINT64_MAX, "far");
  Seen seen;
  const auto process = ReadFile(folder.Only(), seen.Sink());
  REQUIRE(process.ok());
  CHECK(process->texts == std::vector<std::string>{"", "one"});
}

}  // namespace
}  // namespace sextant::backends::injected

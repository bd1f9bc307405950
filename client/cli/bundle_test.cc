#include "client/cli/bundle.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "client/cli/text.h"
#include "tests/catch.h"

namespace sextant::cli {
namespace fs = std::filesystem;
namespace {

// A directory of its own, current while it lives.
class Scratch {
 public:
  Scratch() : before_(fs::current_path()) {
    std::string name = (fs::temp_directory_path() / "sextant-bundle-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    fs::create_directory(directory_ / "here");
    fs::current_path(directory_ / "here");
  }
  ~Scratch() {
    fs::current_path(before_);
    fs::remove_all(directory_);
  }
  void Write(const std::string& path, const std::string& text, mode_t mode = 0644) {
    if (fs::path(path).has_parent_path()) fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
  }

 private:
  fs::path before_, directory_;
};

std::optional<std::string> OnlyPath(const std::string& name) {
  if (name == "PATH") return "/usr/bin:/bin";
  return std::nullopt;
}

std::vector<std::string> Paths(const Bundle& bundle) {
  std::vector<std::string> paths;
  for (const auto& [path, file] : bundle.files()) paths.push_back(path);
  return paths;
}

using Strings = std::vector<std::string>;

TEST_CASE("the program and what its arguments name are collected") {
  Scratch scratch;
  scratch.Write("build/prog", "#!/bin/sh\n", 0755);
  scratch.Write("data/in.txt", "1");
  scratch.Write("data/more/b.txt", "2");
  scratch.Write("conf.ini", "3");
  scratch.Write("unused", "4");
  Bundle bundle;
  v1::Workload workload;
  REQUIRE(CollectProgram({"./build/prog", "data", "--conf=conf.ini", "--n", "3", "absent.txt"}, OnlyPath, bundle,
                         workload).ok());
  CHECK(Paths(bundle) == Strings{"build/prog", "conf.ini", "data/in.txt", "data/more/b.txt"});
  CHECK(bundle.files().at("build/prog").mode == 0755);
  CHECK(workload.argv(0) == "build/prog");
  CHECK(workload.argv(2) == "--conf=conf.ini");
}

TEST_CASE("programs of the system are not sent") {
  Scratch scratch;
  scratch.Write("script.py", "print(1)");
  Bundle bundle;
  v1::Workload workload;
  REQUIRE(CollectProgram({"sh", "script.py"}, OnlyPath, bundle, workload).ok());
  CHECK(Paths(bundle) == Strings{"script.py"});
  CHECK(workload.argv(0) == "sh");
}

TEST_CASE("the interpreter of a Python environment is not sent: its packages could not come with it") {
  Scratch scratch;
  scratch.Write("env/pyvenv.cfg", "home = /usr/bin\n");
  scratch.Write("env/bin/python3", "#!/bin/sh\n", 0755);
  scratch.Write("train.py", "1");
  const std::string bin = (fs::current_path() / "env/bin").string();
  const auto environment = [&](const std::string& name) -> std::optional<std::string> {
    if (name == "PATH") return bin;
    return std::nullopt;
  };
  Bundle bundle;
  v1::Workload workload;
  REQUIRE(CollectProgram({"python3", "train.py"}, environment, bundle, workload).ok());
  CHECK(Paths(bundle) == Strings{"train.py"});
  CHECK(workload.argv(0) == "python3");
  v1::Workload named;
  REQUIRE(CollectProgram({"env/bin/python3", "train.py"}, environment, bundle, named).ok());
  CHECK(named.argv(0) == bin + "/python3");
}

TEST_CASE("a program outside the current directory travels under its own name") {
  Scratch scratch;
  scratch.Write("../elsewhere/tool", "#!/bin/sh\n", 0755);
  scratch.Write("../elsewhere/data", "x");
  Bundle bundle;
  v1::Workload workload;
  REQUIRE(CollectProgram({"../elsewhere/tool", "../elsewhere/data"}, OnlyPath, bundle, workload).ok());
  CHECK(Paths(bundle) == Strings{"tool"});
  CHECK(workload.argv(0) == "./tool");
  REQUIRE(bundle.notes().size() == 1);
  CHECK(bundle.notes()[0].find("--file") != std::string::npos);
}

TEST_CASE("a program that is missing, not executable or not in PATH is named with a remedy") {
  Scratch scratch;
  scratch.Write("plain", "x");
  Bundle bundle;
  v1::Workload workload;
  const auto message = [&](const std::string& program) {
    const absl::Status status = CollectProgram({program}, OnlyPath, bundle, workload);
    REQUIRE_FALSE(status.ok());
    return std::string(status.message());
  };
  CHECK(message("./gone").find("does not exist") != std::string::npos);
  CHECK(message("./plain").find("chmod +x") != std::string::npos);
  CHECK(message("plain").find("did you mean ./plain?") != std::string::npos);
}

TEST_CASE("an ELF program of the system needs no library of its own") {
  const auto libraries = PrivateLibraries("/bin/sh");
  REQUIRE(libraries.ok());
  CHECK(libraries->empty());
  CHECK(PrivateLibraries("/etc/passwd")->empty());
}

TEST_CASE("--file takes a path, a new name, or a directory") {
  Scratch scratch;
  scratch.Write("a.txt", "a");
  scratch.Write("dir/b.txt", "b");
  scratch.Write("with:colon", "c");
  Bundle bundle;
  REQUIRE(bundle.AddArgument("a.txt").ok());
  REQUIRE(bundle.AddArgument("a.txt:in/renamed.txt").ok());
  REQUIRE(bundle.AddArgument("dir:other").ok());
  REQUIRE(bundle.AddArgument("with:colon").ok());
  REQUIRE(bundle.AddArgument("/etc/hostname").ok());
  CHECK(Paths(bundle) == Strings{"a.txt", "hostname", "in/renamed.txt", "other/b.txt", "with:colon"});
}

TEST_CASE("paths that leave the working directory, collide or do not exist are refused") {
  Scratch scratch;
  scratch.Write("a", "1");
  scratch.Write("b", "2");
  Bundle bundle;
  CHECK_FALSE(bundle.AddFile("a", "../a").ok());
  CHECK_FALSE(bundle.AddFile("a", "/a").ok());
  CHECK_FALSE(bundle.AddFile("a", "x/../../a").ok());
  CHECK_FALSE(bundle.AddFile("gone", "gone").ok());
  REQUIRE(bundle.AddFile("a", "x").ok());
  CHECK(bundle.AddFile("a", "x").ok());
  CHECK_FALSE(bundle.AddFile("b", "x").ok());
}

TEST_CASE("what is no regular file in a directory is noted, not sent") {
  Scratch scratch;
  scratch.Write("d/file", "x");
  REQUIRE(mkfifo("d/pipe", 0600) == 0);
  REQUIRE(symlink("file", "d/link") == 0);
  Bundle bundle;
  REQUIRE(bundle.AddDirectory("d", "d").ok());
  CHECK(Paths(bundle) == Strings{"d/file", "d/link"});
  CHECK(bundle.notes().size() == 1);
}

TEST_CASE("the bundle is hashed with SHA-256") {
  Scratch scratch;
  scratch.Write("abc", "abc");
  Bundle bundle;
  REQUIRE(bundle.AddArgument("abc").ok());
  v1::Workload workload;
  const auto files = HashBundle(bundle, workload);
  REQUIRE(files.ok());
  CHECK(Hex(workload.files(0).digest()) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(workload.files(0).size_bytes() == 3);
  CHECK(HashBytes("abc") == workload.files(0).digest());
  CHECK(files->begin()->second == "abc");
}

}  // namespace
}  // namespace sextant::cli

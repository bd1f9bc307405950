#include "client/cli/bundle.h"

#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/text.h"
#include "proto/status/status.h"

namespace sextant::cli {
namespace fs = std::filesystem;
namespace {

// A directory named by mistake ("/", "~") is noticed before it is read to its end.
constexpr size_t kMaxCollectedFiles = 100'000;

std::string Absolute(const std::string& path) {
  std::error_code error;
  const fs::path real = fs::weakly_canonical(path, error);
  return error ? fs::absolute(path).lexically_normal().string() : real.string();
}

bool InsideWork(const std::string& normal) {
  return !normal.empty() && normal != "." && normal[0] != '/' && normal != ".." &&
         !absl::StartsWith(normal, "../");
}

std::string Normal(const std::string& path) {
  std::string normal = fs::path(path).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

// Adds what one argument names, if it names something here.
absl::Status CollectNamed(const std::string& named, Bundle& bundle) {
  if (named.empty() || named == "." || named == "/") return absl::OkStatus();
  std::error_code error;
  const fs::file_status status = fs::status(named, error);
  if (error || (!fs::is_regular_file(status) && !fs::is_directory(status))) return absl::OkStatus();
  const std::string normal = Normal(named);
  if (!InsideWork(normal)) {
    if (!IsSystemPath(Absolute(named))) {
      bundle.AddNote(absl::StrCat("not sent: ", Escape(named),
                                  " is outside the current directory; add --file ", Escape(named),
                                  ":PATH and name PATH in the arguments"));
    }
    return absl::OkStatus();
  }
  if (fs::is_directory(status)) return bundle.AddDirectory(named, normal);
  if (bundle.Has(normal)) return absl::OkStatus();
  return bundle.AddFile(named, normal);
}

absl::StatusOr<std::string> ResolveProgram(const std::string& name,
                                           const Environment& environment) {
  if (absl::StrContains(name, '/')) {
    std::error_code error;
    if (!fs::exists(name, error)) {
      return absl::InvalidArgumentError(
          absl::StrCat("program ", Escape(name), " does not exist; check the path after --"));
    }
    if (!fs::is_regular_file(name, error) || access(name.c_str(), X_OK) != 0) {
      return absl::InvalidArgumentError(absl::StrCat("program ", Escape(name),
                                                     " is not an executable file; chmod +x it"));
    }
    return name;
  }
  if (auto found = FindInPath(name, environment)) return *found;
  std::error_code error;
  const std::string hint =
      fs::exists(name, error) ? absl::StrCat("; did you mean ./", Escape(name), "?") : "";
  return absl::InvalidArgumentError(
      absl::StrCat("program ", Escape(name), " is not in PATH", hint));
}

}  // namespace

bool IsSystemPath(const std::string& absolute) {
  for (absl::string_view prefix : {"/usr/", "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/",
                                  "/libx32/", "/etc/", "/dev/", "/proc/", "/sys/"}) {
    if (absl::StartsWith(absolute, prefix) ||
        absolute == prefix.substr(0, prefix.size() - 1)) {
      return true;
    }
  }
  return false;
}

absl::Status Bundle::AddFile(const std::string& local, const std::string& path) {
  const std::string normal = Normal(path);
  if (!InsideWork(normal)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--file ", Escape(local), ": the path \"", Escape(path),
        "\" must stay inside the working directory; write --file ", Escape(local), ":NAME"));
  }
  struct stat info;
  if (stat(local.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("file ", Escape(local), " is not a regular file, or does not exist"));
  }
  if (access(local.c_str(), R_OK) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("file ", Escape(local), " is not readable"));
  }
  LocalFile file{local, normal, static_cast<uint64_t>(info.st_size), info.st_mode & 0777u};
  const auto [at, added] = files_.emplace(normal, file);
  if (!added && Absolute(at->second.local) != Absolute(local)) {
    return absl::InvalidArgumentError(absl::StrCat("files ", Escape(at->second.local), " and ",
                                                   Escape(local), " would both be ",
                                                   Escape(normal), "; give one another path"));
  }
  if (files_.size() > kMaxCollectedFiles) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxCollectedFiles,
                                                   " files; name a smaller directory"));
  }
  return absl::OkStatus();
}

absl::Status Bundle::AddDirectory(const std::string& local, const std::string& path) {
  std::error_code error;
  fs::recursive_directory_iterator entries(local, error), end;
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("directory ", Escape(local), " cannot be read: ", error.message()));
  }
  for (; entries != end; entries.increment(error)) {
    if (error) break;
    const fs::path relative = entries->path().lexically_relative(local);
    if (entries->is_regular_file(error)) {
      RETURN_IF_ERROR(AddFile(entries->path().string(),
                              path.empty() ? relative.string() : (fs::path(path) / relative).string()));
    } else if (!entries->is_directory(error) || entries->is_symlink(error)) {
      AddNote(absl::StrCat("not sent: ", Escape(entries->path().string()), " is not a regular file"));
    }
  }
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("directory ", Escape(local), " cannot be read: ", error.message()));
  }
  return absl::OkStatus();
}

absl::Status Bundle::AddArgument(const std::string& text) {
  std::string local = text, path;
  std::error_code error;
  // "F:path", unless a file of the whole name exists.
  if (const size_t colon = text.rfind(':');
      colon != std::string::npos && colon > 0 && !fs::exists(text, error)) {
    local = text.substr(0, colon);
    path = text.substr(colon + 1);
  }
  if (path.empty()) {
    path = Normal(local);
    if (!InsideWork(path)) path = fs::path(Absolute(local)).filename().string();
  }
  if (fs::is_directory(local, error)) return AddDirectory(local, path);
  return AddFile(local, path);
}

namespace {

// Whether it belongs to a Python environment or installation, whose packages lie beside it; `python3` found
// in PATH does in any case, also where it is a script that chooses one.
bool InPythonEnvironment(const std::string& named, const std::string& program) {
  if (absl::StartsWith(named, "python") && !absl::StrContains(named, '/')) return true;
  const fs::path path = Absolute(program);
  const fs::path prefix = path.parent_path().parent_path();
  std::error_code error;
  if (fs::exists(prefix / "pyvenv.cfg", error)) return true;
  if (!absl::StartsWith(path.filename().string(), "python")) return false;
  for (fs::directory_iterator it(prefix / "lib", error), end; !error && it != end; it.increment(error)) {
    if (absl::StartsWith(it->path().filename().string(), "python3")) return true;
  }
  return false;
}

}  // namespace

absl::Status CollectProgram(std::vector<std::string> argv, const Environment& environment,
                            Bundle& bundle, v1::Workload& workload) {
  if (argv.empty()) return absl::InvalidArgumentError("no program was given; put it after --");
  ASSIGN_OR_RETURN(const std::string program, ResolveProgram(argv[0], environment));
  if (!IsSystemPath(Absolute(program)) && InPythonEnvironment(argv[0], program)) {
    // Its packages do not travel with it: the worker has an environment of its own
    // (--path-prefix), or shows this one (--expose).
    if (absl::StrContains(argv[0], '/')) argv[0] = Absolute(program);
  } else if (!IsSystemPath(Absolute(program))) {
    std::string path = Normal(program);
    if (!InsideWork(path)) path = fs::path(program).filename().string();
    if (!bundle.Has(path)) RETURN_IF_ERROR(bundle.AddFile(program, path));
    argv[0] = absl::StrContains(path, '/') ? path : absl::StrCat("./", path);
    ASSIGN_OR_RETURN(const auto libraries, PrivateLibraries(program));
    for (const auto& [soname, library] : libraries) {
      if (!bundle.Has(absl::StrCat("lib/", soname))) {
        RETURN_IF_ERROR(bundle.AddFile(library, absl::StrCat("lib/", soname)));
      }
    }
    if (!libraries.empty()) {
      auto& env = *workload.mutable_env();
      std::string& search = env["LD_LIBRARY_PATH"];
      search = search.empty() ? "/work/lib" : absl::StrCat("/work/lib:", search);
    }
  }
  for (size_t i = 1; i < argv.size(); ++i) {
    std::error_code error;
    std::string named = argv[i];
    if (const size_t equals = named.find('=');
        equals != std::string::npos && !fs::exists(named, error)) {
      named = named.substr(equals + 1);
    }
    RETURN_IF_ERROR(CollectNamed(named, bundle));
  }
  for (const std::string& argument : argv) workload.add_argv(argument);
  return absl::OkStatus();
}

absl::StatusOr<Digested> HashFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::InvalidArgumentError(absl::StrCat("file ", Escape(path), " cannot be read"));
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  &EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  Digested result;
  std::vector<char> buffer(1 << 20);
  while (file.read(buffer.data(), buffer.size()), file.gcount() > 0) {
    EVP_DigestUpdate(context.get(), buffer.data(), file.gcount());
    result.size_bytes += file.gcount();
  }
  if (file.bad()) {
    return absl::InvalidArgumentError(absl::StrCat("file ", Escape(path), " cannot be read"));
  }
  result.digest.resize(32);
  EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(result.digest.data()), nullptr);
  return result;
}

std::string HashBytes(absl::string_view bytes) {
  std::string digest(32, '\0');
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
             EVP_sha256(), nullptr);
  return digest;
}

absl::StatusOr<std::map<std::string, std::string>> HashBundle(const Bundle& bundle,
                                                              v1::Workload& workload) {
  std::map<std::string, std::string> by_digest;
  for (const auto& [path, file] : bundle.files()) {
    ASSIGN_OR_RETURN(const Digested digested, HashFile(file.local));
    v1::File& out = *workload.add_files();
    out.set_path(path);
    out.set_digest(digested.digest);
    out.set_size_bytes(digested.size_bytes);
    out.set_mode(file.mode);
    by_digest[digested.digest] = file.local;
  }
  return by_digest;
}

}  // namespace sextant::cli

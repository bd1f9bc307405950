#include "server/store/cluster_binaries.h"

#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/store/cluster_process.h"
#include "server/store/database.h"

namespace sextant::store {
namespace {

const Account kSelf;  // does not drop: asking for a version is harmless as root

void AddMatches(const std::string& pattern, std::vector<std::string>& places) {
  glob_t found{};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) places.push_back(found.gl_pathv[i]);
  }
  globfree(&found);
}

std::vector<std::string> SystemPlaces() {
  std::vector<std::string> places;
  for (const char* pattern : {"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
                              "/usr/local/pgsql*/bin", "/opt/homebrew/opt/postgresql*/bin"}) {
    AddMatches(pattern, places);
  }
  const char* path = getenv("PATH");
  for (absl::string_view place : absl::StrSplit(path ? path : "", ':', absl::SkipEmpty())) {
    places.emplace_back(place);
    const std::string pg_config = absl::StrCat(place, "/pg_config");
    if (access(pg_config.c_str(), X_OK) != 0) continue;
    if (auto output = RunToEnd(kSelf, {pg_config, "--bindir"}, "/"); output.ok())
      places.emplace_back(absl::StripAsciiWhitespace(*output));
  }
  return places;
}

// "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"
std::optional<PostgresBinaries> Look(const std::string& directory) {
  const std::string postgres = absl::StrCat(directory, "/postgres");
  if (access(postgres.c_str(), X_OK) != 0 ||
      access(absl::StrCat(directory, "/initdb").c_str(), X_OK) != 0) {
    return std::nullopt;
  }
  auto output = RunToEnd(kSelf, {postgres, "--version"}, "/");
  if (!output.ok()) return std::nullopt;
  const std::vector<std::string> words =
      absl::StrSplit(absl::StripAsciiWhitespace(*output), ' ', absl::SkipEmpty());
  if (words.size() < 3) return std::nullopt;
  PostgresBinaries binaries{directory, words[2], 0};
  const std::string major = binaries.version.substr(0, binaries.version.find_first_not_of("0123456789"));
  if (!absl::SimpleAtoi(major, &binaries.major)) return std::nullopt;
  return binaries;
}

// The best of `places`; what was found but does not serve is added to `seen`.
std::optional<PostgresBinaries> Best(std::vector<std::string> places, int major,
                                     std::vector<std::string>& seen) {
  std::optional<PostgresBinaries> best;
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  for (const std::string& place : places) {
    std::optional<PostgresBinaries> found = Look(place);
    if (!found) continue;
    seen.push_back(absl::StrCat(found->version, " in ", place));
    if (major != 0 ? found->major != major : found->major < kMinServerMajor) continue;
    if (!best || found->major > best->major) best = std::move(found);
  }
  return best;
}

}  // namespace

absl::StatusOr<PostgresBinaries> FindPostgres(const PostgresPlaces& places, int major) {
  std::vector<std::string> seen;
  std::vector<std::string> first;
  if (!places.only.empty()) {
    first = {places.only, absl::StrCat(places.only, "/bin")};
  } else if (!places.prefix.empty()) {
    AddMatches(absl::StrCat(places.prefix, "/lib/postgresql/*/bin"), first);
  }
  if (auto best = Best(std::move(first), major, seen)) return *std::move(best);
  if (places.only.empty()) {
    if (auto best = Best(SystemPlaces(), major, seen)) return *std::move(best);
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "no PostgreSQL server programs", major != 0 ? absl::StrCat(" of version ", major) : "",
      " found", seen.empty() ? "" : absl::StrCat(" (only ", absl::StrJoin(seen, ", "), ")"), " in ",
      places.only.empty() ? "/usr/lib/postgresql/*/bin and PATH" : places.only,
      ": install the package postgresql", major != 0 ? absl::StrCat("-", major) : "",
      ", name their directory, or give the address of a running server"));
}

}  // namespace sextant::store

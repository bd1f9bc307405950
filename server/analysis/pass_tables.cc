#include "server/analysis/pass_tables.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/status/status.h"
#include "proto/table/table.h"

namespace sextant::analysis {
namespace {

constexpr absl::string_view kSuffix = ".table";

bool IsTable(const v1::Artifact& artifact) {
  return artifact.kind() == table::kArtifactKind && absl::EndsWith(artifact.name(), kSuffix);
}

std::string NameOf(const v1::Artifact& artifact) {
  return artifact.name().substr(0, artifact.name().size() - kSuffix.size());
}

template <typename Values>
void CopyRange(const Values& from, uint64_t first, uint64_t count, Values* to) {
  if (!from.empty()) to->Add(from.begin() + first, from.begin() + first + count);
}

}  // namespace

std::vector<std::string> PassTables::Names(const v1::PassInfo& pass) {
  std::vector<std::string> names;
  for (const v1::Artifact& artifact : pass.result().artifacts())
    if (IsTable(artifact)) names.push_back(NameOf(artifact));
  return names;
}

bool PassTables::HasTable(const v1::PassInfo& pass, absl::string_view table) {
  const auto& artifacts = pass.result().artifacts();
  return std::any_of(artifacts.begin(), artifacts.end(), [table](const v1::Artifact& artifact) {
    return IsTable(artifact) && absl::string_view(artifact.name()) == absl::StrCat(std::string(table), kSuffix);
  });
}

uint64_t PassTables::cached_bytes() const {
  absl::MutexLock lock(&mutex_);
  return cached_bytes_;
}

Table PassTables::Find(const std::string& digest) const {
  absl::MutexLock lock(&mutex_);
  const auto found = by_digest_.find(digest);
  if (found == by_digest_.end()) return nullptr;
  cached_.splice(cached_.begin(), cached_, found->second);
  return found->second->table;
}

void PassTables::Keep(const std::string& digest, Table table) const {
  const uint64_t bytes = table->SpaceUsedLong();
  if (bytes > max_cached_bytes_) return;
  std::list<Cached> given_up;   // freed without the lock
  absl::MutexLock lock(&mutex_);
  if (by_digest_.contains(digest)) return;
  while (cached_bytes_ + bytes > max_cached_bytes_) {
    cached_bytes_ -= cached_.back().bytes;
    by_digest_.erase(cached_.back().digest);
    given_up.splice(given_up.begin(), cached_, std::prev(cached_.end()));
  }
  cached_.push_front({digest, std::move(table), bytes});
  by_digest_[digest] = cached_.begin();
  cached_bytes_ += bytes;
}

absl::StatusOr<Table> PassTables::Read(const v1::PassInfo& pass, absl::string_view name) const {
  for (const v1::Artifact& artifact : pass.result().artifacts()) {
    if (!IsTable(artifact) || NameOf(artifact) != name) continue;
    if (Table cached = Find(artifact.digest()); cached != nullptr) return cached;
    ASSIGN_OR_RETURN(const std::string bytes,
                     blobs_->ReadAll(artifact.digest(), table::kMaxEncodedBytes), "table ", name,
                     " of pass ", pass.pass_id());
    ASSIGN_OR_RETURN(v1::DataTable read, table::DecodeUntrusted(bytes), "table ", name, " of pass ",
                     pass.pass_id());
    auto table = std::make_shared<const v1::DataTable>(std::move(read));
    Keep(artifact.digest(), table);
    return table;
  }
  const std::vector<std::string> names = Names(pass);
  return absl::NotFoundError(absl::StrCat(
      "table: pass ", pass.pass_id(), " left no table \"", name, "\"; ",
      names.empty() ? "it left none" : absl::StrCat("it left ", absl::StrJoin(names, ", "))));
}

absl::StatusOr<v1::DataTable> SliceTable(const v1::DataTable& table, uint64_t first, uint64_t count,
                                         const std::vector<std::string>& columns) {
  v1::DataTable slice;
  slice.set_name(table.name());
  first = std::min<uint64_t>(first, table.rows());
  count = std::min<uint64_t>(count, table.rows() - first);
  slice.set_rows(count);
  std::vector<const v1::DataColumn*> wanted;
  for (const std::string& name : columns) {
    const v1::DataColumn* column = table::Find(table, name);
    if (column == nullptr) {
      return absl::NotFoundError(absl::StrCat(
          "columns: table ", table.name(), " has no column \"", name, "\"; it has ",
          absl::StrJoin(table.columns(), ", ", [](std::string* out, const v1::DataColumn& c) {
            absl::StrAppend(out, c.name());
          })));
    }
    wanted.push_back(column);
  }
  if (columns.empty())
    for (const v1::DataColumn& column : table.columns()) wanted.push_back(&column);
  for (const v1::DataColumn* from : wanted) {
    v1::DataColumn* to = slice.add_columns();
    to->set_name(from->name());
    to->set_unit(from->unit());
    CopyRange(from->ints(), first, count, to->mutable_ints());
    CopyRange(from->numbers(), first, count, to->mutable_numbers());
    if (from->texts().empty()) continue;
    // Only the words that these rows use.
    std::map<uint32_t, uint32_t> words;
    for (uint64_t row = first; row < first + count; ++row) {
      const uint32_t word = from->texts(static_cast<int>(row));
      auto [at, added] = words.try_emplace(word, to->dictionary_size());
      if (added) to->add_dictionary(from->dictionary(static_cast<int>(word)));
      to->add_texts(at->second);
    }
  }
  return slice;
}

}  // namespace sextant::analysis

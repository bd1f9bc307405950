// What the files of this room share of libpqxx: bytea and arrays as parameters, bytea as result,
// prepared statements, the same under libpqxx 6 and 7.
//
// A hot statement is prepared on each connection at its first use there, and known by the address
// of its text, which must live as long as the program (a literal):
//
//   pqxx::result rows = ExecPrepared(tx, "UPDATE queue SET … WHERE pass_id = $1 …", pass_id);
//
// `tx` is one given by Database::Transact or Read. Rare statements use tx.exec_params(sql, …).
#pragma once

#include <pqxx/pqxx>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace sextant::store {

// One connection of a Database, used by one thread at a time, and what was prepared on it.
class Connection : public pqxx::connection {
 public:
  // Throws pqxx::broken_connection. One that is `read_only` refuses to write.
  explicit Connection(const std::string& conninfo, bool read_only = false)
      : pqxx::connection(conninfo), read_only_(read_only) {
#if PQXX_VERSION_MAJOR < 7
    // A reconnect behind our back would lose the transaction's first half without a word.
    inhibit_reactivation(true);
#endif
    // Our tables are in public. A user named "sextant" would meet Query's views of that name first.
    pqxx::nontransaction(*this).exec(
        absl::StrCat("SET search_path = public; SET default_transaction_read_only = ",
                     read_only ? "on" : "off"));
  }

  bool read_only() const { return read_only_; }

 private:
  friend const std::string& PrepareOnce(Connection& connection, const char* sql);
  const bool read_only_;
  pqxx::quiet_errorhandler quiet_{*this};  // notices of the server are not for standard error
  absl::flat_hash_map<const char*, std::string> prepared_;  // name by text
};

inline const std::string& PrepareOnce(Connection& connection, const char* sql) {
  auto found = connection.prepared_.find(sql);
  if (found != connection.prepared_.end()) return found->second;
  const std::string name = absl::StrCat("s", connection.prepared_.size());
  connection.prepare(name, sql);
  return connection.prepared_[sql] = name;
}

template <typename... Parameters>
pqxx::result ExecPrepared(pqxx::transaction_base& tx, const char* sql, Parameters&&... parameters) {
  const std::string& name = PrepareOnce(static_cast<Connection&>(tx.conn()), sql);
  return tx.exec_prepared(name, std::forward<Parameters>(parameters)...);
}

// A binary parameter. Borrows nothing: the bytes are copied.
inline pqxx::binarystring Bytes(std::string_view bytes) {
  return pqxx::binarystring(bytes.data(), bytes.size());
}

// The bytes of a bytea field; empty for NULL.
inline std::string FieldBytes(const pqxx::field& field) {
  if (field.is_null()) return {};
  const std::string_view text(field.c_str(), field.size());
  if (text.size() >= 2 && text[0] == '\\' && text[1] == 'x')
    return absl::HexStringToBytes({text.data() + 2, text.size() - 2});
  return std::string(text);
}

// Array literals for `unnest($1::bigint[])` and the like.
class ArrayLiteral {
 public:
  void Add(int64_t value) { absl::StrAppend(&text_, separator(), value); }
  void AddDouble(double value) { absl::StrAppend(&text_, separator(), value); }
  void AddNull() { absl::StrAppend(&text_, separator(), "NULL"); }
  void AddBytes(std::string_view bytes) {
    absl::StrAppend(&text_, separator(), "\"\\\\x",
                    absl::BytesToHexString({bytes.data(), bytes.size()}), "\"");
  }
  void AddText(std::string_view text) {
    absl::StrAppend(&text_, separator(), "\"");
    for (char c : text) {
      if (c == '"' || c == '\\') text_.push_back('\\');
      text_.push_back(c);
    }
    text_.push_back('"');
  }
  std::string Finish() const { return text_.empty() ? "{}" : absl::StrCat(text_, "}"); }

 private:
  const char* separator() const { return text_.empty() ? "{" : ","; }
  std::string text_;
};

template <typename Range>
std::string Int64Array(const Range& values) {
  ArrayLiteral array;
  for (int64_t value : values) array.Add(value);
  return array.Finish();
}
template <typename Range>
std::string TextArray(const Range& values) {
  ArrayLiteral array;
  for (const auto& value : values) array.AddText(value);
  return array.Finish();
}

}  // namespace sextant::store

// Apache Thrift's compact protocol, the writing half that Parquet's metadata needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sextant::analysis {

// Fields of a struct must come in ascending order of their ids. Owns the bytes. One thread.
class ThriftWriter {
 public:
  void I32(int id, int32_t value) {
    Field(id, kI32);
    Varint(ZigZag(value));
  }
  void I64(int id, int64_t value) {
    Field(id, kI64);
    Varint(ZigZag(value));
  }
  void Binary(int id, absl::string_view value) {
    Field(id, kBinary);
    Bytes(value);
  }
  void BeginStruct(int id) {
    Field(id, kStruct);
    BeginElement();
  }
  void EndStruct() {
    out_.push_back(0);
    last_.pop_back();
  }
  void EmptyStruct(int id) {
    BeginStruct(id);
    EndStruct();
  }
  // Then so many elements: structs between BeginElement and EndStruct, or values.
  void BeginStructs(int id, size_t count) { BeginList(id, kStruct, count); }
  void BeginI32s(int id, size_t count) { BeginList(id, kI32, count); }
  void BeginBinaries(int id, size_t count) { BeginList(id, kBinary, count); }
  void BeginElement() { last_.push_back(0); }
  void I32Element(int32_t value) { Varint(ZigZag(value)); }
  void BinaryElement(absl::string_view value) { Bytes(value); }

  // The outermost struct, ended; the writer is empty then.
  std::string Finish() {
    out_.push_back(0);
    last_ = {0};
    return std::move(out_);
  }

 private:
  enum Type { kI32 = 5, kI64 = 6, kBinary = 8, kList = 9, kStruct = 12 };

  static uint64_t ZigZag(int64_t value) {
    return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
  }
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
    out_.push_back(static_cast<char>(value));
  }
  void Bytes(absl::string_view value) {
    Varint(value.size());
    out_.append(value.data(), value.size());
  }
  // Ids are written as differences to the field before, which all of Parquet's are small enough for.
  void Field(int id, Type type) {
    out_.push_back(static_cast<char>((id - last_.back()) << 4 | type));
    last_.back() = id;
  }
  void BeginList(int id, Type element, size_t count) {
    Field(id, kList);
    if (count < 15) {
      out_.push_back(static_cast<char>(count << 4 | element));
    } else {
      out_.push_back(static_cast<char>(0xf0 | element));
      Varint(count);
    }
  }

  std::string out_;
  std::vector<int> last_ = {0};   // id of the last field, of each struct that is open
};

}  // namespace sextant::analysis

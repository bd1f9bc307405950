#include "workers/backends/scopes/file.h"

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "proto/chunk/names.h"
#include "proto/status/status.h"

namespace sextant::backends::scopes {
namespace {

template <typename... Args>
absl::Status Invalid(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat("scopes file: ", args...));
}

absl::Status CheckHeader(const sextant_scopes_file& header) {
  if (std::memcmp(header.magic, SEXTANT_SCOPES_MAGIC, sizeof(header.magic)) != 0) {
    return Invalid("its magic is not that of a scopes file");
  }
  if (header.version != SEXTANT_SCOPES_VERSION) {
    return absl::FailedPreconditionError(absl::StrCat("scopes file: version ", header.version,
                                                      ", this worker reads ",
                                                      SEXTANT_SCOPES_VERSION));
  }
  const uint32_t ring = header.ring_records;
  if (ring < SEXTANT_SCOPES_MIN_RING || ring > SEXTANT_SCOPES_MAX_RING || (ring & (ring - 1)) != 0) {
    return Invalid("ring_records ", ring, " is no power of two from ", SEXTANT_SCOPES_MIN_RING,
                   " to ", SEXTANT_SCOPES_MAX_RING);
  }
  if (header.slots > SEXTANT_SCOPES_MAX_SLOTS || header.slots_in_file > header.slots) {
    return Invalid("slots_in_file ", header.slots_in_file, " of ", header.slots, ", at most ",
                   SEXTANT_SCOPES_MAX_SLOTS);
  }
  if (header.names_bytes > SEXTANT_SCOPES_MAX_NAMES_BYTES) {
    return Invalid("names_bytes ", header.names_bytes, ", at most ",
                   SEXTANT_SCOPES_MAX_NAMES_BYTES);
  }
  return absl::OkStatus();
}

void ReadNames(absl::Span<const uint8_t> table, File* file) {
  for (size_t at = 0; table.size() - at >= sizeof(uint16_t);) {
    uint16_t length;
    std::memcpy(&length, table.data() + at, sizeof(length));
    at += sizeof(length);
    if (length > SEXTANT_SCOPES_MAX_NAME_BYTES || table.size() - at < length) return;
    const std::string raw(reinterpret_cast<const char*>(table.data()) + at, length);
    at += length;
    // Ids are of the bytes up to a zero, as the kernel hashed them.
    const uint32_t hash = sextant_scopes_hash(raw.c_str());
    const std::string name = chunk::CleanName(raw, SEXTANT_SCOPES_MAX_NAME_BYTES);
    file->names.emplace(sextant_scopes_id(raw.c_str()), name);
    file->kernels.emplace(hash, name);
  }
}

}  // namespace

template <size_t N>
std::string FixedText(const char (&text)[N]) {
  return chunk::CleanName(std::string_view(text, strnlen(text, N)), N);
}
template std::string FixedText(const char (&)[128]);
template std::string FixedText(const char (&)[256]);

absl::StatusOr<File> ReadFileUntrusted(absl::Span<const uint8_t> bytes) {
  File file = {};
  if (bytes.size() < sizeof(file.header)) {
    return Invalid(bytes.size(), " bytes are less than its header");
  }
  std::memcpy(&file.header, bytes.data(), sizeof(file.header));
  RETURN_IF_ERROR(CheckHeader(file.header));
  const sextant_scopes_file& header = file.header;
  if (bytes.size() > SEXTANT_SCOPES_NAMES_AT) {
    ReadNames(bytes.subspan(SEXTANT_SCOPES_NAMES_AT, header.names_bytes), &file);
  }
  const uint64_t records_at =
      header.records_at != 0
          ? header.records_at
          : SEXTANT_SCOPES_SLOTS_AT + uint64_t{header.slots} * sizeof(sextant_scopes_slot);
  const uint64_t least_at =
      SEXTANT_SCOPES_SLOTS_AT + uint64_t{header.slots_in_file} * sizeof(sextant_scopes_slot);
  if (records_at < least_at || records_at > uint64_t{1} << 40) {
    return Invalid("records_at ", records_at, " lies within its ", header.slots_in_file, " slots");
  }
  const uint64_t ring_bytes = uint64_t{header.ring_records} * 8;
  uint64_t at = records_at;
  for (uint32_t i = 0; i < header.slots_in_file; ++i) {
    Slot slot = {};
    const uint64_t slot_at = SEXTANT_SCOPES_SLOTS_AT + uint64_t{i} * sizeof(slot.header);
    if (bytes.size() < slot_at + sizeof(slot.header)) {
      file.cut_slots += header.slots_in_file - i;
      break;
    }
    std::memcpy(&slot.header, bytes.data() + slot_at, sizeof(slot.header));
    const uint64_t written = uint64_t{slot.header.count} * 8;
    const bool ended = slot.header.end_timer != 0;
    const uint64_t stored = header.packed && ended ? std::min(written, ring_bytes) : ring_bytes;
    if (bytes.size() < stored || at > bytes.size() - stored) {
      ++file.cut_slots;
      // Where a packed file was cut, nothing after can be found.
      if (header.packed) {
        file.cut_slots += header.slots_in_file - i - 1;
        break;
      }
      continue;
    }
    slot.records = bytes.subspan(at, ended ? std::min(written, ring_bytes) : ring_bytes);
    at += stored;
    if (slot.header.kernel != 0) file.slots.push_back(slot);
  }
  return file;
}

std::string KernelBaseName(const std::string& signature) {
  // Up to the arguments, without the return type and template arguments before them.
  size_t depth = 0, end = signature.size(), begin = 0;
  bool has_template = false;
  size_t template_at = 0;
  for (size_t i = 0; i < signature.size(); ++i) {
    const char c = signature[i];
    if (c == '<' && depth++ == 0 && !has_template) {
      has_template = true;
      template_at = i;
    }
    if (c == '>' && depth > 0) --depth;
    if (depth > 0) continue;
    if (c == '(' && signature.compare(i, 21, "(anonymous namespace)") != 0 &&
        signature.compare(i, 11, "(anonymous)") != 0 && signature.compare(i, 9, "(unnamed)") != 0) {
      end = i;
      break;
    }
    if (c == ' ' && i > 0) {
      // "(anonymous namespace)" has a space of its own.
      if (signature.compare(i - std::min<size_t>(i, 10), 21, "(anonymous namespace)") == 0) continue;
      begin = i + 1;
      has_template = false;
    }
  }
  if (has_template && template_at > begin && template_at < end) end = template_at;
  return begin < end ? signature.substr(begin, end - begin) : signature;
}

}  // namespace sextant::backends::scopes

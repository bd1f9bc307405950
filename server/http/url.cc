#include "server/http/url.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace sextant::http {
namespace {

int Hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = absl::ascii_tolower(static_cast<unsigned char>(c));
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// False: a broken escape.
bool Decode(absl::string_view text, bool plus_is_space, std::string* out) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out->push_back(' ');
    } else if (text[i] != '%') {
      out->push_back(text[i]);
    } else {
      if (i + 2 >= text.size() || Hex(text[i + 1]) < 0 || Hex(text[i + 2]) < 0) return false;
      out->push_back(static_cast<char>(Hex(text[i + 1]) * 16 + Hex(text[i + 2])));
      i += 2;
    }
  }
  return true;
}

}  // namespace

absl::Status ParseTarget(absl::string_view target, std::string* path,
                         std::multimap<std::string, std::string>* query) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(target, absl::MaxSplits('?', 1));
  if (parts.first.empty() || parts.first[0] != '/')
    return absl::InvalidArgumentError("the request's target does not begin with /");
  if (!Decode(parts.first, false, path))
    return absl::InvalidArgumentError("the request's path holds a broken % escape");
  for (const char c : *path)
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)))
      return absl::InvalidArgumentError("the request's path holds a control character");
  for (const absl::string_view segment : absl::StrSplit(*path, '/'))
    if (segment == "." || segment == "..")
      return absl::InvalidArgumentError("the request's path holds a . or .. segment");
  for (const absl::string_view pair : absl::StrSplit(parts.second, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    std::string name, value;
    if (!Decode(halves.first, true, &name) || !Decode(halves.second, true, &value))
      return absl::InvalidArgumentError("the request's query holds a broken % escape");
    query->emplace(std::move(name), std::move(value));
  }
  return absl::OkStatus();
}

}  // namespace sextant::http

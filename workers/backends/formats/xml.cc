#include "workers/backends/formats/xml.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/status/status.h"

namespace sextant::backends::formats {
namespace {

// Entities become what they stand for; unknown ones stay as they are.
void AppendText(std::string_view raw, std::string* text) {
  constexpr std::pair<std::string_view, char> kEntities[] = {
      {"&lt;", '<'}, {"&gt;", '>'}, {"&amp;", '&'}, {"&quot;", '"'}, {"&apos;", '\''}};
  while (!raw.empty()) {
    const size_t at = raw.find('&');
    text->append(raw.substr(0, at));
    if (at == std::string_view::npos) return;
    raw.remove_prefix(at);
    bool known = false;
    for (const auto& [entity, character] : kEntities) {
      if (raw.substr(0, entity.size()) != entity) continue;
      text->push_back(character);
      raw.remove_prefix(entity.size());
      known = true;
      break;
    }
    if (!known) {
      text->push_back('&');
      raw.remove_prefix(1);
    }
  }
}

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

void Strip(std::string* text) {
  size_t begin = 0, end = text->size();
  while (begin < end && IsSpace((*text)[begin])) ++begin;
  while (end > begin && IsSpace((*text)[end - 1])) --end;
  *text = text->substr(begin, end - begin);
}

}  // namespace

const XmlElement& XmlElement::operator[](std::string_view child) const {
  static const XmlElement* const kNone = new XmlElement();
  for (const XmlElement& one : children) {
    if (one.name == child) return one;
  }
  return *kNone;
}

absl::StatusOr<XmlReader::Tag> XmlReader::NextTag(std::string* text) {
  for (;;) {
    const size_t open = text_.find('<');
    if (open == std::string_view::npos) return absl::DataLossError("the XML ends in the middle");
    AppendText(text_.substr(0, open), text);
    text_.remove_prefix(open);
    // Declarations and comments say nothing.
    const std::string_view end = text_.substr(0, 4) == "<!--" ? "-->" : ">";
    const size_t close = text_.find(end);
    if (close == std::string_view::npos) return absl::DataLossError("the XML ends in the middle");
    std::string_view inside = text_.substr(1, close - 1);
    const bool ignored = text_[1] == '?' || text_[1] == '!';
    text_.remove_prefix(close + end.size());
    if (ignored) continue;
    Tag tag;
    if (!inside.empty() && inside.front() == '/') {
      tag.closing = true;
      inside.remove_prefix(1);
    } else if (!inside.empty() && inside.back() == '/') {
      tag.alone = true;
      inside.remove_suffix(1);
    }
    tag.name = inside.substr(0, inside.find_first_of(" \n\t\r"));
    if (tag.name.empty()) return absl::InvalidArgumentError("an XML element has no name");
    return tag;
  }
}

absl::Status XmlReader::ReadContent(const Tag& open, int depth, XmlElement* element) {
  if (depth > kMaxXmlDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("the XML is nested deeper than ", kMaxXmlDepth, " (kMaxXmlDepth)"));
  }
  if (++elements_ > kMaxXmlElements) {
    return absl::InvalidArgumentError(absl::StrCat("one XML record has more than ", kMaxXmlElements,
                                                   " elements (kMaxXmlElements)"));
  }
  element->name = std::string(open.name);
  if (open.alone) return absl::OkStatus();
  for (;;) {
    ASSIGN_OR_RETURN(const Tag tag, NextTag(&element->text));
    if (tag.closing) {
      if (tag.name != element->name) {
        return absl::InvalidArgumentError("an XML element begins and ends differently");
      }
      Strip(&element->text);
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(ReadContent(tag, depth + 1, &element->children.emplace_back()));
  }
}

absl::StatusOr<bool> XmlReader::Next(XmlElement* child) {
  if (ended_) return false;
  std::string ignored;
  if (root_.empty()) {
    ASSIGN_OR_RETURN(const Tag root, NextTag(&ignored));
    if (root.closing)
      return absl::InvalidArgumentError("the XML begins with the end of an element");
    root_ = std::string(root.name);
    if (root.alone) {
      ended_ = true;
      return false;
    }
  }
  ASSIGN_OR_RETURN(const Tag tag, NextTag(&ignored));
  if (tag.closing) {
    if (tag.name != root_) {
      return absl::InvalidArgumentError("an XML element begins and ends differently");
    }
    ended_ = true;
    return false;
  }
  *child = XmlElement();
  elements_ = 0;
  RETURN_IF_ERROR(ReadContent(tag, 1, child));
  return true;
}

}  // namespace sextant::backends::formats

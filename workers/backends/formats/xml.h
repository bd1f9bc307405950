// The little of XML that tools write: elements and text, no attributes worth reading.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace sextant::backends::formats {

inline constexpr int kMaxXmlDepth = 32;
inline constexpr size_t kMaxXmlElements = 100'000;  // in one child of the root

struct XmlElement {
  std::string name;
  std::string text;  // of the element itself, entities replaced
  std::vector<XmlElement> children;

  // The first child of this name, or an empty element: so paths can be followed without asking.
  const XmlElement& operator[](std::string_view child) const;
  bool empty() const { return name.empty(); }
};

// Hands out the children of the root element one by one, so that a document of any size needs room
// for one of them alone. Every byte is taken for hostile. Borrows the text.
class XmlReader {
 public:
  explicit XmlReader(std::string_view text) : text_(text) {}

  // False: the root has ended. INVALID_ARGUMENT: no XML, or beyond the limits above; DATA_LOSS: the
  // text ends before the root does.
  absl::StatusOr<bool> Next(XmlElement* child);

 private:
  struct Tag {
    std::string_view name;
    bool closing = false;  // </name>
    bool alone = false;    // <name/>
  };
  // The next tag, with the text before it added to `text`.
  absl::StatusOr<Tag> NextTag(std::string* text);
  absl::Status ReadContent(const Tag& open, int depth, XmlElement* element);

  std::string_view text_;
  std::string root_;
  size_t elements_ = 0;  // in the child that is being read
  bool ended_ = false;
};

}  // namespace sextant::backends::formats

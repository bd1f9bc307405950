#include "workers/inject/texts.h"

namespace sextant::inject {

uint32_t Texts::Id(std::string_view text) {
  text = text.substr(0, kMaxTextBytes);
  if (text.empty()) return 0;
  const Locked locked(lock_);
  const auto found = ids_.find(text);
  if (found != ids_.end()) return found->second;
  if (ids_.size() >= kMaxTexts) return 0;
  const uint64_t id = ids_.size() + 1;
  if (!file_.Append(kText, &id, sizeof(id), text.data(), text.size())) return 0;
  ids_.emplace(text, static_cast<uint32_t>(id));
  return static_cast<uint32_t>(id);
}

}  // namespace sextant::inject

#include "server/analysis/code_diff.h"

#include <algorithm>
#include <cctype>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "server/analysis/line_diff.h"

namespace sextant::analysis {
namespace {

constexpr uint32_t kUnbound = UINT32_MAX;

std::vector<uint32_t> Numbered(const CodeText& text, absl::flat_hash_map<std::string, uint32_t>* shapes) {
  std::vector<uint32_t> numbers;
  numbers.reserve(text.lines.size());
  for (const CodeLine& line : text.lines)
    numbers.push_back(shapes->try_emplace(line.shape, static_cast<uint32_t>(shapes->size())).first->second);
  return numbers;
}

// By number, the names of registers "R12", "R13", …: what a wide result writes beside the first.
class Neighbours {
 public:
  explicit Neighbours(const CodeText& text) : text_(text) {
    for (uint32_t i = 0; i < text.names.size(); ++i) ids_.emplace(text.names[i], i);
  }
  // The name `ahead` places after; kUnbound: it does not occur.
  uint32_t After(uint32_t name, uint32_t ahead) const {
    const std::string& text = text_.names[name];
    const size_t digits = text.find_first_of("0123456789");
    uint64_t number = 0;
    if (digits == std::string::npos || text.size() - digits > 6) return kUnbound;
    for (size_t i = digits; i < text.size(); ++i) {
      if (isdigit(static_cast<unsigned char>(text[i])) == 0) return kUnbound;
      number = number * 10 + static_cast<uint64_t>(text[i] - '0');
    }
    const auto found = ids_.find(absl::StrCat(text.substr(0, digits), number + ahead));
    return found == ids_.end() ? kUnbound : found->second;
  }

 private:
  const CodeText& text_;
  absl::flat_hash_map<std::string, uint32_t> ids_;
};

// Which name of one text is which of the other.
class Correspondence {
 public:
  Correspondence(const CodeText& a, const CodeText& b)
      : a_(a), b_(b), near_a_(a), near_b_(b), to_b_(a.names.size(), kUnbound), to_a_(b.names.size(), kUnbound) {}

  // Whether the names of the lines correspond; takes them to from here on.
  bool Take(const CodeLine& a, const CodeLine& b) {
    if (a.names.size() != b.names.size()) return false;   // never where shapes are equal
    bool fits = true;
    for (size_t i = 0; i < a.names.size(); ++i)
      if (!a.names[i].defined) fits &= Uses(a.names[i].name, b.names[i].name);
    for (size_t i = 0; i < a.names.size(); ++i) {
      if (!a.names[i].defined) continue;
      Bind(a.names[i].name, b.names[i].name);
      if (!a_.reuses_names) continue;
      for (uint32_t k = 1; k < a.names[i].width; ++k) {
        Forget(near_a_.After(a.names[i].name, k), to_b_, to_a_);
        Forget(near_b_.After(b.names[i].name, k), to_a_, to_b_);
      }
    }
    return fits;
  }
  // A line that only one text has gives what it writes a meaning that the other does not know.
  void OnlyA(const CodeLine& line) { Alone(line, near_a_, a_, to_b_, to_a_); }
  void OnlyB(const CodeLine& line) { Alone(line, near_b_, b_, to_a_, to_b_); }

 private:
  using Map = std::vector<uint32_t>;

  bool Uses(uint32_t a, uint32_t b) {
    if (to_b_[a] == b && to_a_[b] == a) return true;
    const bool unknown = to_b_[a] == kUnbound && to_a_[b] == kUnbound;
    Bind(a, b);   // one change does not become many
    return unknown;
  }
  void Bind(uint32_t a, uint32_t b) {
    if (to_b_[a] != kUnbound) to_a_[to_b_[a]] = kUnbound;
    if (to_a_[b] != kUnbound) to_b_[to_a_[b]] = kUnbound;
    to_b_[a] = b;
    to_a_[b] = a;
  }
  static void Forget(uint32_t name, Map& there, Map& back) {
    if (name == kUnbound || there[name] == kUnbound) return;
    back[there[name]] = kUnbound;
    there[name] = kUnbound;
  }
  static void Alone(const CodeLine& line, const Neighbours& near, const CodeText& text, Map& there, Map& back) {
    if (!text.reuses_names) return;
    for (const CodeName& one : line.names)
      for (uint32_t k = 0; one.defined && k < one.width; ++k)
        Forget(k == 0 ? one.name : near.After(one.name, k), there, back);
  }

  const CodeText& a_;
  const CodeText& b_;
  const Neighbours near_a_, near_b_;
  Map to_b_, to_a_;
};

// The texts as one list of lines, in the order in which a diff shows them.
struct Shown {
  char sign;   // ' ', '-', '+'
  uint32_t a, b;
};

void Unify(const CodeText& a, const CodeText& b, const std::vector<Shown>& all, CodeDiff* out) {
  for (size_t i = 0; i < all.size();) {
    if (all[i].sign == ' ') {
      ++i;
      continue;
    }
    // A hunk: changes with at most twice the context between them.
    const size_t begin = i > kDiffContext ? i - kDiffContext : 0;
    size_t last = i;
    for (size_t k = i; k < all.size() && k <= last + 2 * kDiffContext; ++k)
      if (all[k].sign != ' ') last = k;
    const size_t end = std::min(all.size(), last + 1 + kDiffContext);
    uint32_t lines_a = 0, lines_b = 0;
    std::string hunk, where;
    for (size_t k = begin; k < end; ++k) {
      const CodeLine& line = all[k].sign == '+' ? b.lines[all[k].b] : a.lines[all[k].a];
      lines_a += all[k].sign != '+';
      lines_b += all[k].sign != '-';
      if (where.empty() && all[k].sign != ' ') where = line.where;
      absl::StrAppend(&hunk, std::string(1, all[k].sign), line.text, "\n");
    }
    const std::string head = absl::StrCat("@@ -", all[begin].a + 1, ",", lines_a, " +", all[begin].b + 1, ",", lines_b,
                                          " @@", where.empty() ? "" : " ", where, "\n");
    if (out->unified.size() + head.size() + hunk.size() > kMaxDiffBytes) {
      // What fits of the first hunk that does not.
      const size_t room = kMaxDiffBytes - std::min(kMaxDiffBytes, out->unified.size() + head.size());
      const size_t whole = hunk.rfind('\n', room == 0 ? 0 : room - 1);
      if (room > 0 && whole != std::string::npos && whole > 0) absl::StrAppend(&out->unified, head, hunk.substr(0, whole + 1));
      out->shortened = true;
      return;
    }
    absl::StrAppend(&out->unified, head, hunk);
    i = end;
  }
}

}  // namespace

CodeDiff DiffCode(const CodeText& a, const CodeText& b) {
  CodeDiff out;
  out.removed.assign(a.lines.size(), false);
  out.added.assign(b.lines.size(), false);
  absl::flat_hash_map<std::string, uint32_t> shapes;
  const std::vector<uint32_t> numbers_a = Numbered(a, &shapes), numbers_b = Numbered(b, &shapes);
  Correspondence names(a, b);
  std::vector<Shown> all;
  uint32_t at_a = 0, at_b = 0;
  const auto remove = [&] {
    names.OnlyA(a.lines[at_a]);
    out.removed[at_a] = true;
    ++out.removals;
    all.push_back({'-', at_a++, at_b});
  };
  const auto add = [&] {
    names.OnlyB(b.lines[at_b]);
    out.added[at_b] = true;
    ++out.additions;
    all.push_back({'+', at_a, at_b++});
  };
  for (const auto& [x, y] : CommonLines(numbers_a, numbers_b)) {
    while (at_a < x) remove();
    while (at_b < y) add();
    if (names.Take(a.lines[x], b.lines[y])) {
      all.push_back({' ', at_a++, at_b++});
      continue;
    }
    out.removed[x] = out.added[y] = true;
    ++out.removals;
    ++out.additions;
    all.push_back({'-', at_a++, at_b});
    all.push_back({'+', at_a, at_b++});
  }
  while (at_a < a.lines.size()) remove();
  while (at_b < b.lines.size()) add();
  Unify(a, b, all, &out);

  for (const CodeLine& line : a.lines) {
    if (line.opcode.empty()) continue;
    --out.mix_change[line.opcode];
    ++out.instructions_a;
  }
  for (const CodeLine& line : b.lines)
    if (!line.opcode.empty()) ++out.mix_change[line.opcode];
  std::erase_if(out.mix_change, [](const auto& one) { return one.second == 0; });
  return out;
}

}  // namespace sextant::analysis

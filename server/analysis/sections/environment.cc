// Where and under what it was measured.
#include <map>

#include "absl/strings/str_cat.h"
#include "server/analysis/sections/section.h"

namespace sextant::analysis {
namespace {

constexpr size_t kShownDistinct = 12;

}  // namespace

// What is the same everywhere stands once; what differs, for each kind of pass.
void WriteEnvironment(const ReportInputs& inputs, v1::ReportSection* out) {
  if (inputs.provenance.empty()) return;
  std::map<std::string, std::map<std::string, std::string>> values;   // by what, then value → backends
  std::vector<std::string> order;
  const auto add = [&](const v1::Provenance& of, const std::string& what, const std::string& value) {
    if (value.empty()) return;
    if (!values.contains(what)) order.push_back(what);
    std::string& backends = values[what][value];
    if (backends.find(of.backend()) == std::string::npos)
      absl::StrAppend(&backends, backends.empty() ? "" : ", ", of.backend());
  };
  for (size_t i = 0; i < inputs.provenance.size() && i < kShownDistinct; ++i) {
    const v1::Provenance& p = inputs.provenance[i];
    add(p, "machine class", p.machine_class());
    add(p, "CPU", p.cpu_model());
    add(p, "cores", p.cpu_cores() > 0 ? absl::StrCat(p.cpu_cores()) : "");
    add(p, "operating system", p.kernel());
    add(p, "worker", p.worker());
    add(p, "device", p.device());
    add(p, "tool digest", p.tool_digest().substr(0, 12));
    add(p, "sandbox", p.sandbox());
    const std::map<std::string, std::string> extra(p.extra().begin(), p.extra().end());
    for (const auto& [name, value] : extra) add(p, name, value);
  }
  TableWriter table(out, "environment");
  table.Column("what").Column("value").Column("of");
  table.set_most(120);
  for (const std::string& what : order)
    for (const auto& [value, backends] : values[what])
      table.Row({Shown(what), Shown(value), values[what].size() == 1 ? "all" : Shown(backends)});
  table.End(out);
  std::string on;
  for (const auto& [value, backends] : values["machine class"]) absl::StrAppend(&on, on.empty() ? "" : "; ", Shown(value));
  Say(out, absl::StrCat("Measured on ", on.empty() ? "an unnamed machine" : on, "."));
}

}  // namespace sextant::analysis

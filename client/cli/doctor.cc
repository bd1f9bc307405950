#include "client/cli/doctor.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

const char* NameOf(Health health) {
  return health == Health::kOk ? "ok" : health == Health::kLimited ? "limited" : "missing";
}

}  // namespace

// With --format json one object per check: {"check", "state", "detail", "remedy", "required"}.
int Doctor(Context& context, const std::vector<std::string>& worker_arguments) {
  bool can_run = true;
  size_t columns = 16;
  std::vector<Finding> findings;
  for (auto& more : {CheckPrograms(context), CheckSandbox(context),
                     CheckMeasuring(context, worker_arguments), CheckResources(context), CheckService(context)}) {
    findings.insert(findings.end(), more.begin(), more.end());
  }
  for (const Finding& f : findings) columns = std::max(columns, Columns(Escape(f.name, 40)));
  for (const Finding& f : findings) {
    can_run = can_run && !(f.required && f.health == Health::kMissing);
    if (context.json) {
      const nlohmann::json line = {{"check", f.name}, {"state", NameOf(f.health)}, {"detail", f.detail},
                                   {"remedy", f.remedy}, {"required", f.required}};
      context.out << line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
      continue;
    }
    std::string state = PadRight(NameOf(f.health), 8);
    if (context.out_terminal.color) {
      const int color = f.health == Health::kOk ? 41 : f.health == Health::kLimited ? 220 : f.required ? 203 : 245;
      state = absl::StrCat("\x1b[38;5;", color, "m", state, "\x1b[0m");
    }
    context.out << state << PadRight(Escape(f.name, 40), columns + 2) << Escape(f.detail, 300) << "\n";
    if (f.health != Health::kOk && !f.remedy.empty()) {
      context.out << std::string(columns + 10, ' ') << "→ " << Escape(f.remedy, 300) << "\n";
    }
  }
  if (!context.json) {
    context.out << (can_run ? "\nThe service can run here:  sextant up\n"
                            : "\nThe service cannot run here; what is missing is marked above.\n");
  }
  return can_run ? kOk : kFailed;
}

}  // namespace sextant::cli

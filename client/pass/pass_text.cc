#include "client/pass/pass_text.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sextant::pass {
namespace {

constexpr uint32_t kCleanPasses = 3;

bool NameChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
}

// The option that words without '=' belong to: `counters:ipc,stalls` is `counters:set=ipc+stalls`.
absl::string_view MainOption(absl::string_view backend) {
  if (backend == "counters" || backend == "ncu") return "set";
  if (backend == "sanitizer") return "tool";
  if (backend == "auto") return "question";
  return "";
}

size_t SkipName(absl::string_view text, size_t at) {
  while (at < text.size() && NameChar(text[at])) ++at;
  return at;
}

// Whether durations of kernels in such a pass are not the program's own.
bool Disturbs(const v1::PassSpec& pass) {
  static constexpr const char* kInstruments[] = {"scopes",      "proton", "counters", "pcsampling", "pmsampling",
                                                 "sassmetrics", "ncu",    "cutracer"};
  return std::find(std::begin(kInstruments), std::end(kInstruments), pass.backend()) != std::end(kInstruments);
}

}  // namespace

absl::StatusOr<v1::PassSpec> Parse(absl::string_view text, size_t* wrong) {
  const auto Wrong = [wrong](size_t where, absl::string_view what) {
    *wrong = where;
    return absl::InvalidArgumentError(what);
  };
  v1::PassSpec spec;
  size_t at = SkipName(text, 0);
  if (at == 0) return Wrong(0, "expected the name of a backend, like host*20");
  if (text.substr(0, at) == "exec") {
    if (at == text.size() || text[at] != ':') {
      return Wrong(at, "expected \":NAME\" after exec, like exec:mytool");
    }
    const size_t start = at + 1;
    at = SkipName(text, start);
    if (at == start) return Wrong(at, "expected the name of the tool, like exec:mytool");
  }
  spec.set_backend(std::string(text.substr(0, at)));

  // The repetition is the last '*'; a value may hold others.
  size_t end = text.size();
  if (const size_t star = text.rfind('*'); star != absl::string_view::npos && star >= at) {
    const absl::string_view digits = text.substr(star + 1);
    const size_t bad = digits.find_first_not_of("0123456789");
    uint32_t n = 0;
    if (digits.empty()) return Wrong(text.size(), "expected a number after '*'");
    if (bad != absl::string_view::npos) {
      return Wrong(star + 1 + bad, "expected digits only after '*'; it comes last");
    }
    if (!absl::SimpleAtoi(digits, &n) || n == 0) {
      return Wrong(star + 1, "the number of passes must be between 1 and 4294967295");
    }
    spec.set_repeat(n);
    end = star;
  }

  // Recordings are named by their path, which may hold any character.
  if (spec.backend() == kReplay) {
    if (at + 1 >= end || text[at] != ':') {
      return Wrong(at, "expected \":\" and a recording or a directory of them, like replay:DIR");
    }
    (*spec.mutable_options())[kRecordingOption] = std::string(text.substr(at + 1, end - at - 1));
    return spec;
  }

  if (at < end && text[at] != ':') {
    return Wrong(at, "expected ':' (options), '*' (repetitions) or the end here");
  }
  const std::string main(MainOption(spec.backend()));
  while (at < end) {
    ++at;  // the ':' or ','
    const size_t value_end = std::min(text.substr(0, end).find(',', at), end);
    const absl::string_view written = text.substr(at, value_end - at);
    if (!main.empty() && !written.empty() && !absl::StrContains(written, '=')) {
      std::string& value = (*spec.mutable_options())[main];
      absl::StrAppend(&value, value.empty() ? "" : "+", written);
      at = value_end;
      continue;
    }
    const size_t key_end = SkipName(text.substr(0, end), at);
    if (key_end == at) return Wrong(at, "expected an option, key=value");
    if (key_end == end || text[key_end] != '=') {
      return Wrong(key_end, "expected '=' and a value after the option's name");
    }
    const std::string key(text.substr(at, key_end - at));
    if (spec.options().count(key)) {
      return Wrong(at, absl::StrCat("option \"", key, "\" is given twice"));
    }
    (*spec.mutable_options())[key] =
        std::string(text.substr(key_end + 1, value_end - key_end - 1));
    at = value_end;
  }
  return spec;
}

std::string Text(const v1::PassSpec& spec) {
  const std::map<std::string, std::string> options(spec.options().begin(), spec.options().end());
  std::string text = spec.backend();
  if (spec.backend() == kReplay && options.count(kRecordingOption)) {
    absl::StrAppend(&text, ":", options.at(kRecordingOption));
  } else if (!options.empty()) {
    absl::StrAppend(&text, ":", absl::StrJoin(options, ",", absl::PairFormatter("=")));
  }
  if (spec.repeat() > 1) absl::StrAppend(&text, "*", spec.repeat());
  return text;
}

void AddCleanPasses(v1::ProfileTask* profile) {
  bool disturbs = false;
  for (const v1::PassSpec& pass : profile->passes()) {
    if (pass.backend() == "activity") return;
    disturbs = disturbs || Disturbs(pass);
  }
  if (!disturbs) return;
  v1::PassSpec clean;
  clean.set_backend("activity");
  (*clean.mutable_options())["light"] = "1";
  clean.set_repeat(kCleanPasses);
  clean.set_optional(true);
  auto& passes = *profile->mutable_passes();
  passes.Add(std::move(clean));
  std::rotate(passes.begin(), passes.end() - 1, passes.end());
}

}  // namespace sextant::pass

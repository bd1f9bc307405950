// `sextant token`: who may call, and as whom.
#include <sys/stat.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands.h"
#include "client/cli/output_file.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

// "submit" of SUBMIT.
absl::StatusOr<v1::TokenScope> ParseScope(absl::string_view text) {
  v1::TokenScope scope = v1::TOKEN_SCOPE_UNSPECIFIED;
  if (!v1::TokenScope_Parse(absl::AsciiStrToUpper(text), &scope) || scope == v1::TOKEN_SCOPE_UNSPECIFIED)
    return absl::InvalidArgumentError(
        absl::StrCat("--scope: \"", Escape(text, 40), "\" is none; write read, submit, worker or admin"));
  return scope;
}

const char* StateOf(const v1::Token& token) {
  if (token.revoked_unix_ns() > 0) return "revoked";
  return token.expires_unix_ns() > 0 && token.expires_unix_ns() < NowUnixNs() ? "ended" : "good";
}

}  // namespace

std::string ScopesText(const google::protobuf::RepeatedField<int>& scopes) {
  std::string text;
  for (const int scope : scopes) {
    absl::StrAppend(&text, text.empty() ? "" : ", ",
                    v1::TokenScope_IsValid(scope)
                        ? absl::AsciiStrToLower(v1::TokenScope_Name(static_cast<v1::TokenScope>(scope)))
                        : absl::StrCat("scope ", scope));
  }
  return text;
}

int TokenCreate(Context& context, const TokenOptions& options) {
  v1::CreateTokenRequest request;
  request.set_tenant(options.tenant);
  request.set_name(options.name);
  for (const std::string& words : options.scopes) {
    for (absl::string_view word : absl::StrSplit(words, ',')) {
      const auto scope = ParseScope(absl::StripAsciiWhitespace(word));
      if (!scope.ok()) return context.Usage(scope.status().message());
      request.add_scopes(*scope);
    }
  }
  if (!options.expires.empty()) {
    const auto lifetime_s = ParseSeconds(options.expires);
    if (!lifetime_s.ok() || *lifetime_s <= 0)
      return context.Usage(absl::StrCat("--expires: \"", Escape(options.expires, 40), "\" is no time from now; write 12h or 30d"));
    request.set_lifetime_s(*lifetime_s);
  }
  // Opened first: a secret that cannot be written down would be lost.
  const mode_t mask = umask(077);
  auto output = OutputFile::Open(options.output, context.out);
  umask(mask);
  if (!output.ok()) return context.Usage(output.status().message());
  const auto created = context.service().CreateToken(request);
  if (!created.ok()) return context.Fail(created.status());
  if (context.json) {
    context.PrintJson(*created);
    if (!(*output)->to_file()) return kOk;
  }
  absl::Status written = (*output)->Write(created->secret() + "\n");
  if (written.ok()) written = (*output)->Finish();
  if (!written.ok()) {
    return context.Fail(absl::Status(written.code(), absl::StrCat(written.message(), "\n  Nobody has its secret: sextant token revoke ",
                                                                  Escape(created->token().id(), 60))));
  }
  const v1::Token& token = created->token();
  context.Note(absl::StrCat("token ", Escape(token.id(), 60), ": ", ScopesText(token.scopes()),
                            token.tenant().empty() ? "" : absl::StrCat(", tenant ", Escape(token.tenant(), 64)),
                            token.expires_unix_ns() > 0
                                ? absl::StrCat(", ends ", FormatTime(token.expires_unix_ns()))
                                : ", never ends",
                            "\n  Its secret is shown this once. Keep it in a file of mode 600: --token-file FILE, or SEXTANT_TOKEN_FILE"));
  return kOk;
}

int TokenList(Context& context, const std::string& tenant) {
  v1::ListTokensRequest request;
  request.set_tenant(tenant);
  const auto response = context.service().ListTokens(request);
  if (!response.ok()) return context.Fail(response.status());
  Table table({{"token"}, {"tenant"}, {"name"}, {"scopes"}, {"state"}, {"created"}, {"ends"}, {"last used"}});
  const uint64_t now = NowUnixNs();
  for (const v1::Token& token : response->tokens()) {
    if (context.json) {
      context.PrintJson(token);
      continue;
    }
    table.Add({token.id(), token.tenant(), token.name(), ScopesText(token.scopes()), StateOf(token),
               FormatTime(token.created_unix_ns()),
               token.expires_unix_ns() > 0 ? FormatTime(token.expires_unix_ns()) : "never",
               token.last_used_unix_ns() > 0 ? FormatAge(token.last_used_unix_ns(), now) : "never"});
  }
  if (context.json) return kOk;
  if (table.empty()) {
    context.out << "no tokens; make one:  sextant token create --name NAME --scope submit\n";
  } else {
    context.out << table.Text(context.out_terminal.color, "", context.out_terminal.tty ? context.out_terminal.width : 0);
  }
  return kOk;
}

int TokenRevoke(Context& context, const std::string& id) {
  v1::RevokeTokenRequest request;
  request.set_id(id);
  const auto token = context.service().RevokeToken(request);
  if (!token.ok()) return context.Fail(token.status());
  if (context.json) {
    context.PrintJson(*token);
  } else {
    context.out << "token " << Escape(token->id(), 60) << " (" << Escape(token->name(), 60) << ") is revoked\n";
  }
  return kOk;
}

}  // namespace sextant::cli

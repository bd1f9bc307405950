// The checks of doctor.h that ask the service.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/endpoint/look.h"
#include "client/cli/commands.h"
#include "client/cli/doctor.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr double kPatienceS = 3;
constexpr int64_t kSoonS = 30 * 86400;   // a certificate's end is told so long before

// "why; remedy" in its two parts.
Finding FindingOf(const std::string& name, const absl::Status& status) {
  const std::string message(status.message());
  const size_t semicolon = message.find("; ");
  return {name, Health::kMissing, message.substr(0, semicolon),
          semicolon == std::string::npos ? "" : message.substr(semicolon + 2)};
}

Finding OfCertificate(const std::string& name, const certificate::Certificate& shown, const std::string& remedy) {
  const int64_t now_s = absl::ToUnixSeconds(absl::Now());
  const std::string problem = certificate::ValidityProblem(shown, now_s, kSoonS);
  Finding finding{name, problem.empty() ? Health::kOk : Health::kLimited,
                  absl::StrCat(shown.subject, shown.names.empty() ? "" : " for ", absl::StrJoin(shown.names, ", "), ", signed by ",
                               shown.issuer, ", ",
                               problem.empty() ? absl::StrCat("ends ", FormatTime(static_cast<uint64_t>(shown.ends_unix_s) * 1'000'000'000))
                                               : problem)};
  if (!problem.empty()) finding.remedy = remedy;
  return finding;
}

Finding OfCaller(const v1::ServiceDescription& service, bool token_given) {
  const v1::Caller& caller = service.caller();
  if (caller.by() == "token")
    return {"token", Health::kOk, absl::StrCat(caller.token_id(), " (", caller.token_name(), "): ", ScopesText(caller.scopes()),
                                               caller.tenant().empty() ? ", of all tenants" : ", tenant " + caller.tenant())};
  if (caller.by() == "socket") return {"token", Health::kOk, "none needed: you are the user the service runs as"};
  return {"token", Health::kOk, token_given ? "given, but this service asks for none" : "this service asks for none"};
}

}  // namespace

std::vector<Finding> CheckService(Context& context) {
  const auto endpoint = context.Endpoint();
  if (!endpoint.ok()) return {FindingOf("service", endpoint.status())};
  std::vector<Finding> findings;
  const endpoint::Looked looked = endpoint::Look(*endpoint, kPatienceS);
  if (looked.certificate)
    findings.push_back(OfCertificate("certificate of the service", *looked.certificate,
                                     "have it renewed (deploy/certificates); it is read again by itself"));
  if (const auto own = certificate::ParseCertificates("--cert", "", endpoint->cert()); own.ok())
    findings.push_back(OfCertificate("your certificate", own->front(), "have it renewed by who signed it"));
  if (absl::IsFailedPrecondition(looked.status)) {
    findings.push_back(FindingOf("service", looked.status));
    return findings;
  }
  const auto described = context.service().Healthy(2).ok() ? context.service().Describe()
                                                           : absl::UnavailableError("");
  if (described.ok()) {
    findings.push_back({"service", Health::kOk, absl::StrCat("answers at ", context.address(),
                                                             looked.protocol.empty() ? "" : ", over " + looked.protocol)});
    findings.push_back(OfCaller(*described, endpoint->token() != nullptr));
  } else if (absl::IsUnauthenticated(described.status()) || absl::IsPermissionDenied(described.status())) {
    findings.push_back({"service", Health::kOk, absl::StrCat("answers at ", context.address())});
    findings.push_back({"token", Health::kMissing, std::string(described.status().message()),
                        "--token-file FILE, SEXTANT_TOKEN or SEXTANT_TOKEN_FILE; an admin makes one: sextant token create"});
  } else {
    findings.push_back({"service", Health::kLimited, absl::StrCat("does not answer at ", context.address()),
                        context.server.empty() ? "sextant up" : "check the address, and that it runs there"});
  }
  return findings;
}

}  // namespace sextant::cli

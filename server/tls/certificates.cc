#include "server/tls/certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/certificate/openssl.h"
#include "proto/certificate/pem.h"
#include "proto/status/status.h"

namespace sextant::tls {
namespace {

using certificate::Bio;
using certificate::Cert;
using certificate::Key;
using certificate::Memory;

constexpr int64_t kSoonS = 14 * 86400;   // a certificate's end is told so long before

// Changes whenever one of the files does.
std::string StampOf(const Files& files) {
  std::string stamp;
  for (const std::string* path : {&files.certificate, &files.key, &files.client_authority}) {
    struct stat info = {};
    if (!path->empty() && stat(path->c_str(), &info) == 0)
      absl::StrAppend(&stamp, info.st_dev, ":", info.st_ino, ":", info.st_size, ":", info.st_mtim.tv_sec,
                      ".", info.st_mtim.tv_nsec, ":", info.st_mode);
    stamp += '|';
  }
  return stamp;
}

int ChooseHttp(SSL*, const unsigned char** chosen, unsigned char* chosen_size, const unsigned char* offered,
               unsigned int offered_size, void*) {
  static constexpr unsigned char kHttp[] = "\x08http/1.1";
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, chosen_size, kHttp, sizeof(kHttp) - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

// Puts the certificates of `pem` into the context: its own first, then the chain.
bool UseChain(SSL_CTX* context, const std::string& pem) {
  const Bio bio = Memory(pem);
  const Cert own(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  bool good = own != nullptr && SSL_CTX_use_certificate(context, own.get()) == 1;
  while (good) {
    Cert next(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (next == nullptr) break;
    good = SSL_CTX_add0_chain_cert(context, next.release()) == 1;   // takes it
  }
  if (good) ERR_clear_error();   // the end of the text
  return good;
}

bool UseKey(SSL_CTX* context, const std::string& pem) {
  const Key key(PEM_read_bio_PrivateKey(Memory(pem).get(), nullptr, nullptr, nullptr));
  return key != nullptr && SSL_CTX_use_PrivateKey(context, key.get()) == 1;
}

// Clients must show a certificate that one of these authorities signed.
void AskClients(SSL_CTX* context, const std::string& pem) {
  const Bio bio = Memory(pem);
  while (const Cert one{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), one.get());
    SSL_CTX_add_client_CA(context, one.get());
  }
  ERR_clear_error();
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  static constexpr unsigned char kSession[] = "sextantd";
  SSL_CTX_set_session_id_context(context, kSession, sizeof(kSession) - 1);
}

}  // namespace

Reading::~Reading() { SSL_CTX_free(context); }

Certificates::Certificates(Files files, absl::Duration look_every)
    : files_(std::move(files)), look_every_(look_every) {}

absl::StatusOr<std::unique_ptr<Certificates>> Certificates::Load(Files files, absl::Duration look_every) {
  if (files.certificate.empty()) return nullptr;
  std::unique_ptr<Certificates> loaded(
      new Certificates(std::move(files), look_every));   // private constructor
  absl::MutexLock lock(&loaded->mutex_);
  loaded->stamp_ = StampOf(loaded->files_);
  loaded->looked_ = absl::Now();
  ASSIGN_OR_RETURN(loaded->current_, loaded->Read(1));
  loaded->WarnOfEnd(loaded->looked_);
  return loaded;
}

absl::StatusOr<std::shared_ptr<const Reading>> Certificates::Read(uint64_t number) const {
  auto reading = std::make_shared<Reading>();
  reading->number = number;
  ASSIGN_OR_RETURN(reading->certificate, certificate::ReadFile("--tls-cert", files_.certificate));
  ASSIGN_OR_RETURN(const auto chain, certificate::ParseCertificates("--tls-cert", files_.certificate,
                                                                    reading->certificate));
  ASSIGN_OR_RETURN(reading->key, certificate::ReadSecretFile("--tls-key", files_.key));
  RETURN_IF_ERROR(
      certificate::CheckKey("--tls-key", files_.key, reading->key, reading->certificate));
  if (asks_clients()) {
    ASSIGN_OR_RETURN(reading->client_authority,
                     certificate::ReadFile("--tls-client-ca", files_.client_authority));
    RETURN_IF_ERROR(certificate::ParseCertificates("--tls-client-ca", files_.client_authority,
                                                   reading->client_authority)
                        .status());
  }
  reading->names = chain.front().names;
  reading->begins_unix_s = chain.front().begins_unix_s;
  reading->ends_unix_s = chain.front().ends_unix_s;
  SSL_CTX* context = reading->context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_alpn_select_cb(context, ChooseHttp, nullptr);
  if (!UseChain(context, reading->certificate) || !UseKey(context, reading->key))
    return absl::InvalidArgumentError(
        absl::StrCat("--tls-cert ", files_.certificate, " cannot be used: ",
                     certificate::TakeOpenSslError(), "; make another, see deploy/certificates"));
  if (asks_clients()) AskClients(context, reading->client_authority);
  spdlog::info("tls certificate=\"{}\" names=\"{}\" number={}", chain.front().subject,
               absl::StrJoin(reading->names, " "), number);
  return reading;
}

void Certificates::WarnOfEnd(absl::Time now) {
  if (now < warn_after_) return;
  warn_after_ = now + absl::Hours(24);
  certificate::Certificate shown;
  shown.begins_unix_s = current_->begins_unix_s;
  shown.ends_unix_s = current_->ends_unix_s;
  const std::string problem = certificate::ValidityProblem(shown, absl::ToUnixSeconds(now), kSoonS);
  if (problem.empty()) return;
  spdlog::warn("tls file=\"{}\" problem=\"the certificate {}\" remedy=\"replace the files; they are read again by themselves\"",
               files_.certificate, problem);
}

std::shared_ptr<const Reading> Certificates::Current() {
  absl::MutexLock lock(&mutex_);
  const absl::Time now = absl::Now();
  if (now - looked_ < look_every_ && now >= looked_) return current_;
  looked_ = now;
  WarnOfEnd(now);
  std::string stamp = StampOf(files_);
  if (stamp == stamp_) return current_;
  stamp_ = std::move(stamp);
  if (auto next = Read(current_->number + 1); next.ok()) {
    current_ = *std::move(next);
    warn_after_ = absl::InfinitePast();
    WarnOfEnd(now);
  } else {
    spdlog::warn("tls step=read_again error=\"{}\" in_force={}", std::string(next.status().message()),
                 current_->number);
  }
  return current_;
}

}  // namespace sextant::tls

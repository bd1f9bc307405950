#include "client/endpoint/look.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/certificate/openssl.h"
#include "proto/status/status.h"

namespace sextant::endpoint {
namespace {

using certificate::Bio;
using certificate::Cert;
using certificate::Freed;
using certificate::Key;
using certificate::Memory;
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Freed<SSL_free>>;

struct Socket {
  int fd = -1;
  ~Socket() {
    if (fd >= 0) close(fd);
  }
};

// Waits until the socket can be read or written; false at the deadline.
bool Await(int fd, short what, absl::Time deadline) {
  for (;;) {
    const int64_t left_ms = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left_ms <= 0) return false;
    pollfd wanted = {fd, what, 0};
    const int n = poll(&wanted, 1, static_cast<int>(left_ms));
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

absl::Status Connect(const Endpoint& endpoint, absl::Time deadline, Socket* socket_of) {
  addrinfo hints = {}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const int looked_up = getaddrinfo(endpoint.host().c_str(), endpoint.port().c_str(), &hints, &found);
  if (looked_up != 0)
    return absl::UnavailableError(
        absl::StrCat("the name ", endpoint.host(), " is not known: ", gai_strerror(looked_up)));
  const std::unique_ptr<addrinfo, Freed<freeaddrinfo>> all(found);
  int error = 0;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Socket tried{socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (tried.fd < 0) continue;
    error = connect(tried.fd, one->ai_addr, one->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      error = ETIMEDOUT;
      socklen_t size = sizeof(error);
      if (Await(tried.fd, POLLOUT, deadline)) getsockopt(tried.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (error != 0) continue;
    std::swap(socket_of->fd, tried.fd);
    return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat(endpoint.host(), ":", endpoint.port(), ": ", std::strerror(error)));
}

// Trusts what `endpoint` trusts and shows what it shows. Whether the other is trusted is asked afterwards.
Context MakeContext(const Endpoint& endpoint) {
  Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  if (endpoint.ca().empty()) {
    SSL_CTX_set_default_verify_paths(context.get());
  } else {
    const Bio bio = Memory(endpoint.ca());
    while (const Cert one{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)})
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), one.get());
  }
  if (!endpoint.cert().empty()) {
    const Bio chain = Memory(endpoint.cert());
    const Cert own(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
    SSL_CTX_use_certificate(context.get(), own.get());
    while (X509* next = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr))
      SSL_CTX_add0_chain_cert(context.get(), next);
    const Key key(PEM_read_bio_PrivateKey(Memory(endpoint.key()).get(), nullptr, nullptr, nullptr));
    SSL_CTX_use_PrivateKey(context.get(), key.get());
  }
  ERR_clear_error();
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  return context;
}

Session MakeSession(SSL_CTX* context, const Endpoint& endpoint, int fd) {
  Session session(SSL_new(context));
  SSL_set_fd(session.get(), fd);
  static constexpr unsigned char kHttp2[] = "\x02h2";
  SSL_set_alpn_protos(session.get(), kHttp2, sizeof(kHttp2) - 1);
  X509_VERIFY_PARAM* wanted = SSL_get0_param(session.get());
  in6_addr address;
  if (inet_pton(AF_INET, endpoint.host().c_str(), &address) == 1 ||
      inet_pton(AF_INET6, endpoint.host().c_str(), &address) == 1) {
    X509_VERIFY_PARAM_set1_ip_asc(wanted, endpoint.host().c_str());
  } else {
    SSL_set_tlsext_host_name(session.get(), endpoint.host().c_str());
    X509_VERIFY_PARAM_set1_host(wanted, endpoint.host().c_str(), 0);
  }
  return session;
}

enum class End { kDone, kFailed, kLate };

// Calls `step` until it succeeds, fails for good, or it is too late.
template <typename Step>
End Drive(SSL* session, int fd, absl::Time deadline, Step step) {
  for (;;) {
    ERR_clear_error();
    const int result = step();
    if (result > 0) return End::kDone;
    const int wants = SSL_get_error(session, result);
    if (wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE) return End::kFailed;
    if (!Await(fd, wants == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline)) return End::kLate;
  }
}

std::string Hint(const Endpoint& endpoint) {
  return endpoint.ca().empty() ? "; give --ca FILE with the authority of this site (or SEXTANT_CA)"
                             : "; is it the right --ca (SEXTANT_CA), and is this the service you mean?";
}

// Why the other's certificate is not trusted; OK when it is.
absl::Status Judge(const Endpoint& endpoint, long verified, const certificate::Certificate& shown) {
  const std::string who = absl::StrCat("the certificate that ", endpoint.address(), " shows ");
  const std::string validity = certificate::ValidityProblem(shown, absl::ToUnixSeconds(absl::Now()), 0);
  switch (verified) {
    case X509_V_OK:
      return absl::OkStatus();
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      if (validity.empty())
        return absl::FailedPreconditionError(absl::StrCat(
            who, "is signed by an authority that is not valid now; renew it, or check this machine's clock"));
      return absl::FailedPreconditionError(absl::StrCat(
          who, validity, "; its administrator must renew it (deploy/certificates), or this machine's clock is wrong"));
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return absl::FailedPreconditionError(absl::StrCat(
          who, "is for ", shown.names.empty() ? "no name at all" : absl::StrJoin(shown.names, ", "), ", not for ",
          endpoint.host(), "; reach the service by such a name, or have one made for ", endpoint.host()));
    default:
      return absl::FailedPreconditionError(absl::StrCat(
          who, "is signed by ", shown.issuer, ", which is not trusted here: ", X509_verify_cert_error_string(verified),
          Hint(endpoint)));
  }
}

std::string AcceptedAuthorities(SSL* session) {
  const STACK_OF(X509_NAME)* names = SSL_get0_peer_CA_list(session);
  std::string text;
  for (int i = 0; i < std::min(sk_X509_NAME_num(names), 3); ++i) {
    const Bio bio(BIO_new(BIO_s_mem()));
    X509_NAME_print_ex(bio.get(), sk_X509_NAME_value(names, i), 0, XN_FLAG_ONELINE);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    absl::StrAppend(&text, i > 0 ? ", " : " signed by ", absl::string_view(data, static_cast<size_t>(size)));
  }
  return text;
}

// The service ended the connection. Few say why: what it asked for tells.
absl::Status Ended(const Endpoint& endpoint, SSL* session, bool asked) {
  const std::string service = absl::StrCat("the service at ", endpoint.address());
  if (!asked)
    return absl::UnavailableError(absl::StrCat(service, " ended the connection; its log may say why"));
  if (endpoint.cert().empty())
    return absl::FailedPreconditionError(
        absl::StrCat(service, " asks for a certificate of yours", AcceptedAuthorities(session),
                     "; give --cert FILE and --key FILE (SEXTANT_CERT, SEXTANT_KEY)"));
  const auto own = certificate::ParseCertificates("--cert", "", endpoint.cert());
  const std::string validity =
      own.ok() ? certificate::ValidityProblem(own->front(), absl::ToUnixSeconds(absl::Now()), 0) : "";
  if (!validity.empty())
    return absl::FailedPreconditionError(
        absl::StrCat("your certificate (--cert, SEXTANT_CERT) ", validity, "; have it renewed"));
  return absl::FailedPreconditionError(
      absl::StrCat(service, " does not trust your certificate (--cert, SEXTANT_CERT), signed by ",
                   own.ok() ? own->front().issuer : "nobody", "; have one", AcceptedAuthorities(session)));
}

int Note(SSL*, void* asked) {
  *static_cast<bool*>(asked) = true;
  return 1;
}

absl::Status LookEncrypted(const Endpoint& endpoint, int fd, absl::Time deadline, Looked* looked) {
  const Context context = MakeContext(endpoint);
  bool asked = false;   // for a certificate
  SSL_CTX_set_cert_cb(context.get(), Note, &asked);
  const Session session = MakeSession(context.get(), endpoint, fd);
  const End met = Drive(session.get(), fd, deadline, [&] { return SSL_connect(session.get()); });
  if (met == End::kLate)
    return absl::UnavailableError(absl::StrCat(endpoint.address(), " takes connections, but says nothing"));
  if (met == End::kFailed && SSL_get0_peer_certificate(session.get()) == nullptr)
    return absl::FailedPreconditionError(absl::StrCat(
        endpoint.address(), " does not speak TLS; leave out --ca, --cert, https:// and their variables, or have it "
        "started with --tls-cert"));
  looked->protocol = SSL_get_version(session.get());
  looked->certificate = certificate::Describe(SSL_get0_peer_certificate(session.get()));
  RETURN_IF_ERROR(Judge(endpoint, SSL_get_verify_result(session.get()), *looked->certificate));
  if (met == End::kFailed) return Ended(endpoint, session.get(), asked);
  // Whether we are let in is said by what comes next: HTTP/2's first frame, or the end.
  char byte = 0;
  const End heard = Drive(session.get(), fd, deadline, [&] { return SSL_peek(session.get(), &byte, 1); });
  return heard == End::kFailed ? Ended(endpoint, session.get(), asked) : absl::OkStatus();
}

absl::Status LookPlain(const Endpoint& endpoint, int fd, absl::Time deadline, Looked* looked) {
  const Context context = MakeContext(endpoint);
  const Session session = MakeSession(context.get(), endpoint, fd);
  const End met = Drive(session.get(), fd, deadline, [&] { return SSL_connect(session.get()); });
  const unsigned long error = ERR_peek_error();
  const bool alert = ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET;
  if (met == End::kLate || (met == End::kFailed && !alert)) return absl::OkStatus();
  if (X509* shown = SSL_get0_peer_certificate(session.get())) looked->certificate = certificate::Describe(shown);
  return absl::FailedPreconditionError(
      absl::StrCat("the service at ", endpoint.address(), " speaks TLS; give --ca FILE with its authority (SEXTANT_CA), or "
                   "write https://", endpoint.target(), " where the system trusts it"));
}

}  // namespace

Looked Look(const Endpoint& endpoint, double timeout_s) {
  Looked looked;
  if (!endpoint.tcp()) return looked;
  const absl::Time deadline = absl::Now() + absl::Seconds(timeout_s);
  Socket socket;
  looked.status = Connect(endpoint, deadline, &socket);
  if (!looked.status.ok()) return looked;
  looked.status = endpoint.encrypted() ? LookEncrypted(endpoint, socket.fd, deadline, &looked)
                                     : LookPlain(endpoint, socket.fd, deadline, &looked);
  ERR_clear_error();
  return looked;
}

}  // namespace sextant::endpoint

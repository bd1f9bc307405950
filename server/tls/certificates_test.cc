#include "server/tls/certificates.h"

#include <openssl/ssl.h>

#include "absl/strings/match.h"
#include "proto/certificate/test_certificates.h"
#include "tests/catch.h"

namespace sextant::tls {
namespace {

using certificate::TestAuthority;
using certificate::TestDirectory;
using certificate::TestPair;

// What the server of `reading` and a client end a handshake with; the client trusts `authority` and shows
// `own`, if any.
struct Met {
  bool server = false, client = false;
  std::string protocol;
  int version = 0;
};
Met Meet(const Reading& reading, const std::string& authority, const TestPair* own, int max_version = 0) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const auto read = [](const std::string& pem) { return BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())); };
  BIO* trusted = read(authority);
  X509* root = PEM_read_bio_X509(trusted, nullptr, nullptr, nullptr);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), root);
  X509_free(root);
  BIO_free(trusted);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (max_version != 0) {
    SSL_CTX_set_security_level(context.get(), 0);
    SSL_CTX_set_max_proto_version(context.get(), max_version);
  }
  if (own != nullptr) {
    BIO* bio = read(own->certificate);
    X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(context.get(), certificate);
    X509_free(certificate);
    BIO_free(bio);
    bio = read(own->key);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    SSL_CTX_use_PrivateKey(context.get(), key);
    EVP_PKEY_free(key);
    BIO_free(bio);
  }
  const std::unique_ptr<SSL, void (*)(SSL*)> client(SSL_new(context.get()), SSL_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> server(SSL_new(reading.context), SSL_free);
  static constexpr unsigned char kOffers[] = "\x02h2\x08http/1.1";
  SSL_set_alpn_protos(client.get(), kOffers, sizeof(kOffers) - 1);
  BIO *left = nullptr, *right = nullptr;
  BIO_new_bio_pair(&left, 0, &right, 0);
  SSL_set_bio(client.get(), left, left);
  SSL_set_bio(server.get(), right, right);
  Met met;
  for (int i = 0; i < 20 && !(met.client && met.server); ++i) {
    met.client = SSL_connect(client.get()) == 1;
    met.server = SSL_accept(server.get()) == 1;
  }
  const unsigned char* chosen = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(client.get(), &chosen, &size);
  met.protocol.assign(reinterpret_cast<const char*>(chosen), size);
  met.version = SSL_version(client.get());
  return met;
}

struct Site {
  TestDirectory files;
  TestAuthority authority{"the site"};
  Files Put(const TestPair& pair) const {
    return {files.Write("cert.pem", pair.certificate), files.Write("key.pem", pair.key), ""};
  }
};

TEST_CASE("a server with the files' certificate is met by those who trust its authority, over HTTP/1.1") {
  const Site site;
  const auto loaded = Certificates::Load(site.Put(site.authority.Sign({.dns = "localhost", .ip = "127.0.0.1"})));
  REQUIRE(loaded.ok());
  const auto reading = (*loaded)->Current();
  CHECK(reading->names == std::vector<std::string>{"localhost", "127.0.0.1"});
  const Met met = Meet(*reading, site.authority.pem(), nullptr);
  CHECK(met.client);
  CHECK(met.server);
  CHECK(met.protocol == "http/1.1");
  CHECK_FALSE(Meet(*reading, TestAuthority("another").pem(), nullptr).client);
}

TEST_CASE("TLS 1.2 is the oldest that is spoken") {
  const Site site;
  const auto loaded = Certificates::Load(site.Put(site.authority.Sign({})));
  REQUIRE(loaded.ok());
  const auto reading = (*loaded)->Current();
  const Met met = Meet(*reading, site.authority.pem(), nullptr, TLS1_2_VERSION);
  CHECK(met.server);
  CHECK(met.version == TLS1_2_VERSION);
  CHECK_FALSE(Meet(*reading, site.authority.pem(), nullptr, TLS1_1_VERSION).server);
}

TEST_CASE("with a client authority only those whom it signed are let in") {
  const Site site;
  const TestAuthority people("people"), strangers("strangers");
  Files files = site.Put(site.authority.Sign({}));
  files.client_authority = site.files.Write("people.pem", people.pem());
  const auto loaded = Certificates::Load(files);
  REQUIRE(loaded.ok());
  const auto reading = (*loaded)->Current();
  const TestPair one = people.Sign({.name = "one"}), stranger = strangers.Sign({.name = "stranger"});
  const TestPair ended = people.Sign({.begins_s = -100, .ends_s = -50});
  CHECK(Meet(*reading, site.authority.pem(), &one).server);
  CHECK_FALSE(Meet(*reading, site.authority.pem(), nullptr).server);
  CHECK_FALSE(Meet(*reading, site.authority.pem(), &stranger).server);
  CHECK_FALSE(Meet(*reading, site.authority.pem(), &ended).server);
}

TEST_CASE("replaced files take effect, but not between the two, nor when they are wrong") {
  const Site site;
  const TestAuthority next_authority("next year's");
  const TestPair first = site.authority.Sign({.name = "first"}), second = next_authority.Sign({.name = "second"});
  const auto loaded = Certificates::Load(site.Put(first), absl::ZeroDuration());
  REQUIRE(loaded.ok());
  const auto in_force = [&](const TestAuthority& authority) {
    return Meet(*(*loaded)->Current(), authority.pem(), nullptr).client;
  };
  CHECK(in_force(site.authority));
  site.files.Write("cert.pem", second.certificate);
  CHECK(in_force(site.authority));
  site.files.Write("key.pem", second.key);
  CHECK(in_force(next_authority));
  CHECK((*loaded)->Current()->number == 2);
  std::filesystem::remove(site.files.Path("cert.pem"));
  CHECK(in_force(next_authority));
  site.files.Write("cert.pem", "no certificate");
  CHECK(in_force(next_authority));
  site.Put(first);
  CHECK(in_force(site.authority));
}

TEST_CASE("files that are wrong are named with their flag and the remedy") {
  const Site site;
  const TestPair pair = site.authority.Sign({}), other = site.authority.Sign({});
  const auto error = [](const Files& files) {
    const absl::Status status = Certificates::Load(files).status();
    CHECK(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  Files files = site.Put(pair);
  files.certificate = "/nonexistent/cert.pem";
  CHECK(absl::StartsWith(error(files), "--tls-cert /nonexistent/cert.pem cannot be read"));
  files = site.Put({pair.certificate, other.key});
  CHECK(absl::StrContains(error(files), "is not the key of the certificate"));
  files = site.Put(pair);
  site.files.Write("key.pem", pair.key, 0644);
  CHECK(absl::StrContains(error(files), "chmod 600"));
  files = site.Put(pair);
  files.client_authority = site.files.Write("ca.pem", "none");
  CHECK(absl::StartsWith(error(files), "--tls-client-ca "));
}

TEST_CASE("a certificate that has ended is served with a warning: its clients say it better") {
  const Site site;
  const auto loaded = Certificates::Load(site.Put(site.authority.Sign({.begins_s = -100, .ends_s = -50})));
  REQUIRE(loaded.ok());
  CHECK((*loaded)->Current()->ends_unix_s < absl::ToUnixSeconds(absl::Now()));
}

}  // namespace
}  // namespace sextant::tls

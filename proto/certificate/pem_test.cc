#include "proto/certificate/pem.h"

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "proto/certificate/test_certificates.h"
#include "tests/catch.h"

namespace sextant::certificate {
namespace {

bool Says(const absl::Status& status, absl::string_view words) {
  INFO(status.ToString());
  const bool says = absl::IsInvalidArgument(status) && absl::StrContains(status.message(), words);
  CHECK(says);
  return says;
}

TEST_CASE("a certificate says whom it is for, who signed it and how long it is valid") {
  const TestAuthority authority("the authority");
  const TestPair pair = authority.Sign({.name = "gpu7", .dns = "gpu7.example.org", .ip = "127.0.0.1"});
  const auto chain = ParseCertificates("--ca", "f.pem", pair.certificate + authority.pem());
  REQUIRE(chain.ok());
  REQUIRE(chain->size() == 2);
  CHECK((*chain)[0].subject == "CN = gpu7");
  CHECK((*chain)[0].issuer == "CN = the authority");
  CHECK((*chain)[0].names == std::vector<std::string>{"gpu7.example.org", "127.0.0.1"});
  CHECK((*chain)[0].ends_unix_s - (*chain)[0].begins_unix_s == 3660);
  CHECK((*chain)[1].issuer == (*chain)[1].subject);
}

TEST_CASE("what is no certificate is named, with what to do") {
  const TestAuthority authority("a");
  const TestPair pair = authority.Sign({});
  Says(ParseCertificates("--tls-cert", "f.pem", "hello").status(), "--tls-cert f.pem holds no certificate; name a PEM");
  Says(ParseCertificates("--tls-cert", "f.pem", pair.key).status(), "but a private key: the files are confused");
  std::string broken = pair.certificate;
  broken.replace(60, 20, "AAAAAAAAAAAAAAAAAAAA");
  Says(ParseCertificates("--tls-cert", "f.pem", broken).status(), "cannot be read");
}

TEST_CASE("a key must be that of the first certificate, and without a passphrase") {
  const TestAuthority authority("a");
  const TestPair one = authority.Sign({.name = "one"}), two = authority.Sign({.name = "two"});
  CHECK(CheckKey("--tls-key", "k.pem", one.key, one.certificate + authority.pem()).ok());
  Says(CheckKey("--tls-key", "k.pem", two.key, one.certificate), "--tls-key k.pem is not the key of the certificate of CN = one");
  Says(CheckKey("--tls-key", "k.pem", one.key, authority.pem() + one.certificate), "is not the key");
  Says(CheckKey("--tls-key", "k.pem", one.certificate, one.certificate), "holds no private key");
  BIO* bio = BIO_new_mem_buf(one.key.data(), static_cast<int>(one.key.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO* locked = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(locked, key, EVP_aes_128_cbc(), nullptr, 0, nullptr, const_cast<char*>("secret"));
  char* data = nullptr;
  const long size = BIO_get_mem_data(locked, &data);
  Says(CheckKey("--tls-key", "k.pem", std::string(data, static_cast<size_t>(size)), one.certificate), "has a passphrase");
  BIO_free(locked);
  BIO_free(bio);
  EVP_PKEY_free(key);
}

TEST_CASE("a file that is missing, empty, too long, or open to all is refused with the remedy") {
  const TestDirectory files;
  Says(ReadFile("--ca", files.Path("none.pem")).status(), "cannot be read: No such file");
  Says(ReadFile("--ca", files.Write("empty.pem", "")).status(), "is empty");
  Says(ReadFile("--ca", files.Write("long.pem", std::string(kMaxFileBytes + 1, 'x'))).status(), "is longer than");
  Says(ReadFile("--ca", files.Path(".")).status(), "is no file");
  Says(ReadSecretFile("--tls-key", files.Write("k.pem", "key", 0644)).status(), "chmod 600");
  CHECK(ReadSecretFile("--tls-key", files.Write("k.pem", "key", 0640)).value() == "key");
  CHECK(ReadFile("--ca", files.Write("c.pem", "text", 0644)).value() == "text");
}

TEST_CASE("validity is told before it ends") {
  const TestAuthority authority("a");
  const int64_t now = absl::ToUnixSeconds(absl::Now());
  const auto problem = [&](long begins_s, long ends_s) {
    const TestPair pair = authority.Sign({.begins_s = begins_s, .ends_s = ends_s});
    return ValidityProblem(ParseCertificates("--ca", "f", pair.certificate)->front(), now, 14 * 86400);
  };
  CHECK(problem(-60, 90 * 86400).empty());
  CHECK(absl::StartsWith(problem(-7200, -3600), "ended on 2"));
  CHECK(absl::StartsWith(problem(3600, 7200), "begins on 2"));
  CHECK(absl::StartsWith(problem(-60, 3 * 86400 + 600), "ends in 3 days, on 2"));
}

}  // namespace
}  // namespace sextant::certificate

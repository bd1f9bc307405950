// Certificates for tests, made when they run.
//
//   TestDirectory files;
//   TestAuthority authority("CN of the authority");
//   files.Write("ca.pem", authority.pem());
//   const TestPair server = authority.Sign({.name = "server", .dns = "localhost", .ip = "127.0.0.1"});
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"

namespace sextant::certificate {

class TestDirectory {
 public:
  TestDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "sextant-pem-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TestDirectory() { std::filesystem::remove_all(path_); }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  // Replaces the file as a whole, as a careful administrator does; returns its path.
  std::string Write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const std::string path = Path(name), fresh = path + ".new";
    std::ofstream(fresh, std::ios::trunc) << text;
    chmod(fresh.c_str(), mode);
    std::filesystem::rename(fresh, path);
    return path;
  }

 private:
  std::string path_;
};

struct TestPair {
  std::string certificate, key;   // PEM
};

class TestAuthority {
 public:
  struct Wanted {
    std::string name = "test";
    std::string dns;
    std::string ip;
    long begins_s = -60;    // from now
    long ends_s = 3600;
  };

  explicit TestAuthority(const std::string& name) : key_(EVP_EC_gen("P-256")) {
    certificate_ = Make({.name = name}, key_, nullptr, "critical,CA:TRUE");
    pem_ = PemOf(certificate_);
  }
  ~TestAuthority() {
    X509_free(certificate_);
    EVP_PKEY_free(key_);
  }
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  const std::string& pem() const { return pem_; }

  TestPair Sign(const Wanted& wanted) const {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = Make(wanted, key, certificate_, "critical,CA:FALSE");
    TestPair pair{PemOf(certificate), PemOf(key)};
    X509_free(certificate);
    EVP_PKEY_free(key);
    return pair;
  }

 private:
  static std::string Drain(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string text(data, static_cast<size_t>(size));
    BIO_free(bio);
    return text;
  }
  static std::string PemOf(X509* certificate) {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate);
    return Drain(bio);
  }
  static std::string PemOf(EVP_PKEY* key) {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
    return Drain(bio);
  }
  X509* Make(const Wanted& wanted, EVP_PKEY* key, X509* issuer, const char* basic) const {
    static long serial = 1;
    X509* made = X509_new();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made), wanted.begins_s);
    X509_gmtime_adj(X509_getm_notAfter(made), wanted.ends_s);
    X509_set_pubkey(made, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(wanted.name.c_str()), -1, -1, 0);
    X509_set_issuer_name(made, X509_get_subject_name(issuer == nullptr ? made : issuer));
    Extend(made, NID_basic_constraints, basic);
    std::string names = wanted.dns.empty() ? "" : absl::StrCat("DNS:", wanted.dns);
    if (!wanted.ip.empty()) absl::StrAppend(&names, names.empty() ? "" : ",", "IP:", wanted.ip);
    if (!names.empty()) Extend(made, NID_subject_alt_name, names.c_str());
    X509_sign(made, key_, EVP_sha256());
    return made;
  }
  static void Extend(X509* certificate, int what, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, what, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  EVP_PKEY* const key_;
  X509* certificate_ = nullptr;
  std::string pem_;
};

}  // namespace sextant::certificate

#include "proto/certificate/pem.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "proto/certificate/openssl.h"
#include "proto/status/status.h"

namespace sextant::certificate {
namespace {

template <typename... Parts>
absl::Status Wrong(absl::string_view option, absl::string_view path, const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(option, " ", path, parts...));
}

// The passphrase that nobody is here to type.
int NoPassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

int64_t UnixSeconds(const ASN1_TIME* time) {
  std::tm parts = {};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : 0;
}

std::string Line(const X509_NAME* name) {
  const Bio bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string Text(const ASN1_STRING* string) {
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
                     static_cast<size_t>(ASN1_STRING_length(string)));
}

std::string Address(const ASN1_OCTET_STRING* octets) {
  const std::string bytes = Text(octets);
  char text[INET6_ADDRSTRLEN] = "";
  if (bytes.size() == 4) inet_ntop(AF_INET, bytes.data(), text, sizeof(text));
  if (bytes.size() == 16) inet_ntop(AF_INET6, bytes.data(), text, sizeof(text));
  return text;
}

Cert FirstCertificate(absl::string_view pem) {
  return Cert(PEM_read_bio_X509(Memory(pem).get(), nullptr, nullptr, nullptr));
}

struct Opened {
  int fd = -1;
  struct stat info = {};
  ~Opened() {
    if (fd >= 0) close(fd);
  }
};

absl::Status Open(absl::string_view option, const std::string& path, Opened* file) {
  file->fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->fd < 0 || fstat(file->fd, &file->info) != 0) {
    const int error = errno;
    return Wrong(option, path, " cannot be read: ", std::strerror(error),
                 error == EACCES ? absl::StrCat("; let user ", geteuid(), " read it (chgrp, chmod 640)")
                                 : "; name a file that is there");
  }
  if (!S_ISREG(file->info.st_mode)) return Wrong(option, path, " is no file; name a PEM file");
  if (static_cast<uint64_t>(file->info.st_size) > kMaxFileBytes)
    return Wrong(option, path, " is longer than ", kMaxFileBytes, " bytes; name a PEM file");
  return absl::OkStatus();
}

absl::StatusOr<std::string> Read(absl::string_view option, const std::string& path, const Opened& file) {
  std::string text(kMaxFileBytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = read(file.fd, text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Wrong(option, path, " cannot be read: ", std::strerror(errno));
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  text.resize(size);
  if (size == 0) return Wrong(option, path, " is empty");
  return text;
}

}  // namespace

absl::StatusOr<std::string> ReadFile(absl::string_view option, const std::string& path) {
  Opened file;
  RETURN_IF_ERROR(Open(option, path, &file));
  return Read(option, path, file);
}

absl::StatusOr<std::string> ReadSecretFile(absl::string_view option, const std::string& path) {
  Opened file;
  RETURN_IF_ERROR(Open(option, path, &file));
  if ((file.info.st_mode & (S_IROTH | S_IWOTH)) != 0)
    return Wrong(option, path, " is open to every user of this machine; chmod 600 ", path,
                 " (or 640 for a group), and think of what it holds as known");
  return Read(option, path, file);
}

Certificate Describe(const X509* certificate) {
  Certificate said;
  said.subject = Line(X509_get_subject_name(certificate));
  said.issuer = Line(X509_get_issuer_name(certificate));
  said.begins_unix_s = UnixSeconds(X509_get0_notBefore(certificate));
  said.ends_unix_s = UnixSeconds(X509_get0_notAfter(certificate));
  const std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) said.names.push_back(Text(name->d.dNSName));
    if (name->type == GEN_IPADD) said.names.push_back(Address(name->d.iPAddress));
  }
  return said;
}

absl::StatusOr<std::vector<Certificate>> ParseCertificates(absl::string_view option,
                                                           absl::string_view path,
                                                           absl::string_view pem) {
  std::vector<Certificate> all;
  const Bio bio = Memory(pem);
  ERR_clear_error();
  while (const Cert certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)})
    all.push_back(Describe(certificate.get()));
  const unsigned long error = ERR_peek_last_error();
  const bool ended = error == 0 || (ERR_GET_LIB(error) == ERR_LIB_PEM &&
                                    ERR_GET_REASON(error) == PEM_R_NO_START_LINE);
  const std::string why = ended ? "" : TakeOpenSslError();
  ERR_clear_error();
  if (!ended)
    return Wrong(option, path, " holds a certificate that cannot be read: ", why,
                 "; write it again as PEM");
  if (all.empty())
    return Wrong(option, path, " holds no certificate",
                 absl::StrContains(pem, "PRIVATE KEY-----") ? ", but a private key: the files are confused"
                                                            : "",
                 "; name a PEM file with -----BEGIN CERTIFICATE-----");
  return all;
}

absl::Status CheckKey(absl::string_view option, absl::string_view path, absl::string_view key,
                      absl::string_view certificates) {
  bool asked = false;
  ERR_clear_error();
  const Key read(PEM_read_bio_PrivateKey(Memory(key).get(), nullptr, NoPassphrase, &asked));
  const std::string why = TakeOpenSslError();
  if (asked)
    return Wrong(option, path, " has a passphrase, which nobody is here to type; write it without: openssl pkey -in ",
                 path, " -out NEW");
  if (read == nullptr)
    return Wrong(option, path, " holds no private key that can be read: ", why,
                 "; name a PEM file with -----BEGIN PRIVATE KEY-----");
  const Cert first = FirstCertificate(certificates);
  if (first == nullptr || X509_check_private_key(first.get(), read.get()) != 1) {
    ERR_clear_error();
    return Wrong(option, path, " is not the key of the certificate",
                 first == nullptr ? "" : absl::StrCat(" of ", Line(X509_get_subject_name(first.get()))),
                 "; the first certificate of the file must be the one whose key this is");
  }
  return absl::OkStatus();
}

std::string ValidityProblem(const Certificate& certificate, int64_t now_unix_s, int64_t soon_s) {
  const auto on = [](int64_t unix_s) {
    return absl::FormatTime("%Y-%m-%d %H:%M UTC", absl::FromUnixSeconds(unix_s), absl::UTCTimeZone());
  };
  const int64_t left_s = certificate.ends_unix_s - now_unix_s;
  if (left_s < 0) return absl::StrCat("ended on ", on(certificate.ends_unix_s));
  if (certificate.begins_unix_s > now_unix_s)
    return absl::StrCat("begins on ", on(certificate.begins_unix_s));
  if (left_s >= soon_s) return "";
  return absl::StrCat("ends in ", left_s / 86400, " days, on ", on(certificate.ends_unix_s));
}

std::string TakeOpenSslError() {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  ERR_clear_error();
  return reason == nullptr ? "no reason given" : reason;
}

}  // namespace sextant::certificate

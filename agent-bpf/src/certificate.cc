// SPDX-License-Identifier: Apache-2.0
#include "certificate.h"

#include <openssl/asn1.h>
#include <openssl/err.h>

#include <array>
#include <ctime>

#include "openssl.h"

namespace cellwall {
namespace {

std::unexpected<Error> failed(const std::string& what) {
  std::array<char, 256> reason = {};
  ERR_error_string_n(ERR_get_error(), reason.data(), reason.size());
  ERR_clear_error();
  return fail(what + ": " + reason.data());
}

Key read_key(const std::string& pem) {
  const Bio bio = memory_bio(pem);
  return Key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
}

Certificate next_certificate(BIO* bio) {
  return Certificate(PEM_read_bio_X509(bio, nullptr, nullptr, nullptr));
}

WallTime wall_time(const ASN1_TIME* time) {
  std::tm parts = {};
  ASN1_TIME_to_tm(time, &parts);
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

// A name longer than the 64 characters of a common name has to go in all the same: the server knows it.
bool set_name(X509_REQ* request, const std::string& node) {
  X509_NAME* subject = X509_REQ_get_subject_name(request);
  const std::unique_ptr<X509_NAME_ENTRY, Freed<X509_NAME_ENTRY_free>> entry(X509_NAME_ENTRY_new());
  return entry && X509_NAME_ENTRY_set_object(entry.get(), OBJ_nid2obj(NID_commonName)) == 1 &&
         X509_NAME_ENTRY_set_data(entry.get(), V_ASN1_UTF8STRING,
                                  reinterpret_cast<const unsigned char*>(node.data()),
                                  static_cast<int>(node.size())) == 1 &&
         X509_NAME_add_entry(subject, entry.get(), -1, 0) == 1;
}

}  // namespace

Result<std::string> make_key() {
  const Key key(EVP_EC_gen("P-256"));
  const Bio bio = memory_bio();
  if (!key || !bio ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return failed("make a key");
  return text_of(bio.get());
}

Result<std::string> make_certificate_request(const std::string& key_pem, const std::string& node) {
  const Key key = read_key(key_pem);
  const CertificateRequest request(X509_REQ_new());
  if (!key || !request || X509_REQ_set_version(request.get(), 0) != 1 || !set_name(request.get(), node) ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) <= 0)
    return failed("make a certificate request");
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request.get(), &der);
  if (size <= 0) return failed("make a certificate request");
  std::string text(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return text;
}

Result<CertificateFacts> read_certificate(const std::string& chain) {
  const Bio bio = memory_bio(chain);
  const Certificate certificate = next_certificate(bio.get());
  if (!certificate) return failed("read a certificate");
  return CertificateFacts{.from = wall_time(X509_get0_notBefore(certificate.get())),
                          .ends = wall_time(X509_get0_notAfter(certificate.get()))};
}

bool belongs_to(const std::string& chain, const std::string& key_pem) {
  const Bio bio = memory_bio(chain);
  const Certificate certificate = next_certificate(bio.get());
  const Key key = read_key(key_pem);
  const bool same = certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  return same;
}

std::vector<std::string> fingerprints(const std::string& certificates) {
  std::vector<std::string> found;
  const Bio bio = memory_bio(certificates);
  while (const Certificate certificate = next_certificate(bio.get())) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned int size = 0;
    X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size);
    found.push_back(hex(digest.data(), size));
  }
  ERR_clear_error();
  return found;
}

std::string time_text(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts = {};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text = {};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
#include "authority.h"

namespace cellwall {
namespace {

Certificate make(EVP_PKEY* subject_key, X509_NAME* subject, X509_NAME* issuer, EVP_PKEY* issuer_key,
                 std::chrono::seconds life) {
  Certificate made(X509_new());
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), life.count());
  X509_set_subject_name(made.get(), subject);
  X509_set_issuer_name(made.get(), issuer);
  X509_set_pubkey(made.get(), subject_key);
  X509_sign(made.get(), issuer_key, EVP_sha256());
  return made;
}

std::string pem_of(X509* certificate) {
  const Bio bio = memory_bio();
  PEM_write_bio_X509(bio.get(), certificate);
  return text_of(bio.get());
}

}  // namespace

TestAuthority::TestAuthority() : key_(EVP_EC_gen("P-256")) {
  const std::unique_ptr<X509_NAME, Freed<X509_NAME_free>> name(X509_NAME_new());
  certificate_ = make(key_.get(), name.get(), name.get(), key_.get(), std::chrono::hours(24));
}

std::string TestAuthority::pem() const {
  return pem_of(certificate_.get());
}

std::string TestAuthority::sign(const std::string& pkcs10, std::chrono::seconds life) const {
  const auto* data = reinterpret_cast<const unsigned char*>(pkcs10.data());
  const CertificateRequest request(d2i_X509_REQ(nullptr, &data, static_cast<long>(pkcs10.size())));
  if (!request) return "";
  const Certificate made = make(X509_REQ_get0_pubkey(request.get()), X509_REQ_get_subject_name(request.get()),
                                X509_get_subject_name(certificate_.get()), key_.get(), life);
  return pem_of(made.get()) + pem();
}

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
#include "discovery.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>

#include "fd.h"
#include "openssl.h"

namespace cellwall {
namespace {

constexpr timeval kPatience = {.tv_sec = 5, .tv_usec = 0};

struct HostPort {
  std::string host, port;
};

HostPort split(const std::string& server) {
  const size_t colon = server.rfind(':');
  std::string host = server.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return {host, server.substr(colon + 1)};
}

Result<Fd> connect_to(const std::string& server) {
  const auto [host, port] = split(server);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0)
    return fail("server " + server + ": " + gai_strerror(error));
  const std::unique_ptr<addrinfo, Freed<freeaddrinfo>> addresses(found);
  std::unexpected<Error> last = fail("server " + server + ": it has no address");
  for (const addrinfo* it = found; it; it = it->ai_next) {
    Fd socket(::socket(it->ai_family, it->ai_socktype | SOCK_CLOEXEC, it->ai_protocol));
    if (!socket) continue;
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
    setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
    if (connect(socket.get(), it->ai_addr, it->ai_addrlen) == 0) return socket;
    last = fail_errno("server " + server);
  }
  return last;
}

std::string key_hash_of(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) return "";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int digest_size = 0;
  EVP_Digest(der, static_cast<size_t>(size), digest.data(), &digest_size, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  return hex(digest.data(), digest_size);
}

// Whoever shows a certificate with this key, signed by this key, has the key.
X509* find_authority(STACK_OF(X509) * chain, const std::string& key_hash) {
  for (int i = 0; i < sk_X509_num(chain); i++) {
    X509* certificate = sk_X509_value(chain, i);
    if (key_hash_of(certificate) == key_hash && X509_check_ca(certificate) != 0 &&
        X509_verify(certificate, X509_get0_pubkey(certificate)) == 1)
      return certificate;
  }
  return nullptr;
}

// Empty: all is well.
std::string check(X509* leaf, STACK_OF(X509) * chain, X509* authority, const std::string& name) {
  const CertificateStore store(X509_STORE_new());
  const CertificateCheck context(X509_STORE_CTX_new());
  if (!store || !context || X509_STORE_add_cert(store.get(), authority) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), leaf, chain) != 1)
    return "out of memory";
  X509_STORE_CTX_set_default(context.get(), "ssl_server");
  X509_VERIFY_PARAM* wanted = X509_STORE_CTX_get0_param(context.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) != 1)
    X509_VERIFY_PARAM_set1_host(wanted, name.data(), name.size());
  if (X509_verify_cert(context.get()) == 1) return "";
  return X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

std::string pem_of(X509* certificate) {
  const Bio bio = memory_bio();
  return bio && PEM_write_bio_X509(bio.get(), certificate) == 1 ? text_of(bio.get()) : "";
}

}  // namespace

Result<std::string> discover_authority(const std::string& server, const std::string& name,
                                       const std::string& key_hash) {
  const auto socket = connect_to(server);
  if (!socket) return std::unexpected(socket.error());
  const std::string wanted = name.empty() ? split(server).host : name;
  const TlsContext context(SSL_CTX_new(TLS_client_method()));
  const TlsConnection connection(context ? SSL_new(context.get()) : nullptr);
  if (!connection || SSL_set_fd(connection.get(), socket->get()) != 1)
    return fail("begin TLS: out of memory");
  static constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  SSL_set_alpn_protos(connection.get(), kHttp2, sizeof(kHttp2));
  SSL_set_tlsext_host_name(connection.get(), wanted.c_str());
  // Checked below, when the authority is known, and before anything is sent.
  SSL_set_verify(connection.get(), SSL_VERIFY_NONE, nullptr);
  if (SSL_connect(connection.get()) != 1) {
    ERR_clear_error();
    return fail("server " + server + " does not speak TLS, or hangs up: is it the port for agents?");
  }
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(connection.get());
  X509* authority = chain ? find_authority(chain, key_hash) : nullptr;
  ERR_clear_error();
  if (!authority)
    return fail(
        "server " + server +
        " is not of the authority in the join token: it is another server, or its authority was replaced "
        "since the token was made");
  const std::string wrong = check(sk_X509_value(chain, 0), chain, authority, wanted);
  ERR_clear_error();
  if (!wrong.empty())
    return fail("server " + server + ": its certificate is not good for " + wanted + ": " + wrong +
                " (--tls-names of the server, --tls-server-name here)");
  return pem_of(authority);
}

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
//
// How Credentials gets its first certificate, or one after the last has ended.
#include <fstream>
#include <iterator>

#include "config.h"
#include "credentials.h"
#include "discovery.h"

namespace cellwall {
namespace {

Result<std::string> service_account_token(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno("read " + path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (text.empty()) return fail(path + " is empty: it has to hold the token of a ServiceAccount");
  return text;
}

}  // namespace

// The server has to be known before a secret is sent to it.
Result<std::string> Credentials::authorities_for(const Server& server,
                                                 const std::optional<JoinToken>& token) const {
  if (token) return discover_authority(server.address, server.tls_name, token->key_hash);
  if (!options_.files.authority.empty()) {
    auto files = given();
    if (!files) return std::unexpected(files.error());
    return files->authorities;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (identity_.authorities.empty())
    return fail("the authority of the server is not known: give --tls-ca with --service-account-token-file");
  return identity_.authorities;
}

Result<void> Credentials::enrol_now(const Server& server, const Enrol& enrol,
                                    const std::optional<JoinToken>& token, WallTime now) {
  const auto authorities = authorities_for(server, token);
  if (!authorities) return std::unexpected(authorities.error());
  const auto key = pending_key();
  if (!key) return std::unexpected(key.error());
  const auto csr = make_certificate_request(*key, options_.node);
  if (!csr) return std::unexpected(csr.error());
  v1::EnrolRequest request;
  request.set_node(options_.node);
  request.set_agent_version(kVersion);
  request.mutable_certificate_request()->set_pkcs10(*csr);
  if (token) {
    request.set_join_token(token->text);
  } else {
    const auto text = service_account_token(options_.service_account_token_file);
    if (!text) return std::unexpected(text.error());
    request.set_service_account_token(*text);
  }
  const auto response = enrol(server, *authorities, request);
  if (!response) return fail("enrol with server " + server.address + ": " + response.error().message);
  Identity identity{.join_token = token ? token->id : "",
                    .store = response->store(),
                    .key = *key,
                    .chain = response->certificate().chain(),
                    .authorities = response->certificate().authorities().certificates()};
  const std::lock_guard<std::mutex> lock(mutex_);
  if (auto ok = keep(std::move(identity), now); !ok) return ok;
  return pending_file_.remove();
}

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
//
// What the agent shows to the server, and whom it trusts: files that it was given, or a certificate that it
// enrolled for and renews. Used by the stream's thread (prepare) and the main loop (the rest).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>

#include "cellwall/v1/agent.pb.h"
#include "certificate.h"
#include "identity_file.h"
#include "join_token.h"
#include "result.h"
#include "server_list.h"

namespace cellwall {

struct TlsFiles {
  std::string authority;
  std::string certificate;
  std::string key;
};

// PEM. No authorities: plain text.
struct TlsMaterial {
  std::string authorities, certificate, key;
};

struct CredentialOptions {
  TlsFiles files;
  std::string node;
  std::string state_directory;
  std::string join_token_file;
  std::string service_account_token_file;
};

// In the state directory.
inline constexpr char kIdentityFile[] = "/identity.pem";

class Credentials {
 public:
  using Server = ServerAddress;
  // Sends the request to a server whose authorities are known.
  using Enrol = std::function<Result<v1::EnrolResponse>(const Server& server, const std::string& authorities,
                                                        const v1::EnrolRequest& request)>;

  static Result<std::unique_ptr<Credentials>> open(const CredentialOptions& options);

  // For one connection. Enrols first when there is nothing good to show, which can take some seconds.
  Result<TlsMaterial> prepare(const Server& server, const Enrol& enrol, WallTime now);

  // A request (DER) to be sent now, if one is due.
  std::optional<std::string> request_due(WallTime now);
  // True: it is in the file, and the next connection shows it.
  bool take(const v1::IssuedCertificate& issued, WallTime now);
  // Errors: they are no certificates, or cannot be kept.
  Result<void> take(const v1::Authorities& authorities, WallTime now);

  // Something to log that was not said yet: that the certificate has ended, or why it cannot be renewed.
  std::optional<std::string> complaint(WallTime now);
  std::string error() const;  // why it could not be renewed; empty: nothing is wrong
  // Of the server that this agent was enrolled with by a join token, which somebody has given it on purpose.
  std::string enrolled_store() const;
  void count(google::protobuf::Map<std::string, uint64_t>* counters) const;

 private:
  explicit Credentials(const CredentialOptions& options);
  bool enrols() const;
  Result<TlsMaterial> given() const;
  Result<std::optional<JoinToken>> join_token() const;
  Result<void> enrol_now(const Server& server, const Enrol& enrol, const std::optional<JoinToken>& token,
                         WallTime now);
  Result<std::string> authorities_for(const Server& server, const std::optional<JoinToken>& token) const;
  Result<std::string> pending_key() const;
  Result<void> keep(Identity identity, WallTime now);
  void schedule(WallTime now);
  double random(double from, double to);
  TlsMaterial material() const;

  const CredentialOptions options_;
  const StateFile file_, pending_file_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  Identity identity_;
  std::optional<CertificateFacts> facts_;
  WallTime next_request_;
  std::string renewing_key_;
  std::string error_, told_;
  uint64_t renewals_ = 0, failures_ = 0;
  std::mt19937 random_{std::random_device{}()};
};

}  // namespace cellwall

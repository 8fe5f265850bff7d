// SPDX-License-Identifier: Apache-2.0
//
// What the main loop does about certificates, and about whose rule sets it takes.
#include "agent.h"

namespace cellwall {

using std::chrono::system_clock;

Result<void> Agent::open_identity() {
  auto credentials = Credentials::open({.files = config_.tls,
                                        .node = config_.node,
                                        .state_directory = config_.state_directory,
                                        .join_token_file = config_.join_token_file,
                                        .service_account_token_file = config_.service_account_token_file});
  if (!credentials) return std::unexpected(credentials.error());
  credentials_ = std::move(*credentials);
  binding_.emplace(config_.state_directory + "/store", config_.accept_store);
  return {};
}

Result<void> Agent::check_store(const v1::Welcome& welcome) {
  const auto other = binding_->welcome(welcome.store(), credentials_->enrolled_store());
  store_error_ = other ? "" : other.error().message;
  if (!other) return std::unexpected(other.error());
  if (*other) enforcement_->expect_other_store();
  return {};
}

Result<void> Agent::take(const v1::RuleSetUpdate& update) {
  if (!store_error_.empty()) return fail(store_error_);
  if (auto ok = enforcement_->take(update); !ok) return ok;
  if (auto ok = binding_->applied(); !ok) log(LogLevel::kError, ok.error().message);
  return {};
}

void Agent::renew_certificate() {
  const auto now = system_clock::now();
  if (const auto complaint = credentials_->complaint(now); complaint) log(LogLevel::kError, *complaint);
  if (!connected_) return;
  auto pkcs10 = credentials_->request_due(now);
  if (!pkcs10) return;
  auto request = std::make_shared<v1::StreamRequest>();
  request->mutable_certificate_request()->set_pkcs10(std::move(*pkcs10));
  stream_->send(std::move(request));
}

void Agent::handle(const v1::IssuedCertificate& issued) {
  if (!credentials_->take(issued, system_clock::now())) return;  // the complaint says why
  log(LogLevel::kInfo, "certificate renewed");
  stream_->reconnect();
}

void Agent::handle(const v1::Authorities& authorities) {
  if (auto ok = credentials_->take(authorities, system_clock::now()); !ok)
    log(LogLevel::kError, ok.error().message);
}

}  // namespace cellwall

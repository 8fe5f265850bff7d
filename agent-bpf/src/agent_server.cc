// SPDX-License-Identifier: Apache-2.0
//
// What the main loop does with what the server says.
#include <sys/eventfd.h>

#include "agent.h"

namespace cellwall {

void Agent::handle_server() {
  eventfd_t ignored;
  (void)eventfd_read(told_event_.get(), &ignored);
  for (const FromServer& message : stream_->take()) {
    std::visit([this](const auto& what) { handle(what); }, message);
  }
}

void Agent::handle(const v1::Welcome& welcome) {
  connected_ = true;
  last_reason_.clear();
  delivery_->connected(welcome.committed_event_index(), welcome.window());
  log(LogLevel::kInfo, "connected",
      {{"server", config_.server},
       {"version", welcome.server_version()},
       {"committed", welcome.committed_event_index()}});
  auto request = std::make_shared<v1::StreamRequest>();
  *request->mutable_containers() = containers_.complete();
  containers_.reset_changes();
  stream_->send(std::move(request));
  send_applied("", 0);
  next_open_ = next_statistics_ = {};
}

void Agent::handle(const v1::Acknowledge& acknowledge) {
  delivery_->acknowledged(acknowledge.sequence());
  captured_->lookups().acknowledged(delivery_->acknowledged_mark());
}

void Agent::handle(const v1::RuleSetUpdate& update) {
  if (digest_of(update.payload()) != update.digest()) {
    send_applied("the digest of the rule sets is wrong: they were damaged on the way", update.generation());
    return;
  }
  if (update.digest() == digest_) {
    send_applied("", 0);
    return;
  }
  if (auto ok = apply_policy(update.payload()); !ok) {
    log(LogLevel::kError, ok.error().message, {{"generation", update.generation()}});
    send_applied(ok.error().message, update.generation());
    return;
  }
  // In force already; without the file the next start waits for the server instead.
  if (auto ok = policy_file_.save(update.payload()); !ok) log(LogLevel::kError, ok.error().message);
  log(LogLevel::kInfo, "policy applied", {{"generation", policy_->generation()}});
  send_applied("", 0);
}

void Agent::handle(const Disconnected& disconnected) {
  connected_ = false;
  delivery_->disconnected();
  // Once per reason, not once per attempt.
  if (disconnected.reason != last_reason_)
    log(LogLevel::kWarning, "not connected", {{"reason", disconnected.reason}});
  last_reason_ = disconnected.reason;
}

void Agent::send_applied(const std::string& error, uint64_t rejected_generation) {
  auto request = std::make_shared<v1::StreamRequest>();
  auto* applied = request->mutable_applied();
  applied->set_generation(kernel_->generation());
  applied->set_digest(digest_);
  applied->set_error(error);
  applied->set_rejected_generation(rejected_generation);
  uint32_t count = 0;
  for (const auto& [id, container] : containers_.all())
    count += policy_ && policy_->match(container).rule_set != 0;
  applied->set_containers(count);
  stream_->send(std::move(request));
}

void Agent::send_ready() {
  while (auto message = delivery_->next_to_send()) stream_->send(std::move(message));
}

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
//
// What the main loop does with what the server says.
#include <sys/eventfd.h>

#include <algorithm>

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
      {{"server", stream_->server()},
       {"version", welcome.server_version()},
       {"committed", welcome.committed_event_index()}});
  const auto store = check_store(welcome);
  if (!store) log(LogLevel::kError, store.error().message);
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
  answer(take(update), update.generation());
  wall_->changed();
}

void Agent::handle(const v1::RuleSetAmendment& amendment) {
  answer(store_error_.empty() ? enforcement_->take(amendment) : fail(store_error_), amendment.generation());
  wall_->changed();
}

void Agent::handle(const v1::RuleSetDifference& difference) {
  answer(store_error_.empty() ? enforcement_->take(difference) : fail(store_error_), difference.generation());
  wall_->changed();
}

void Agent::answer(const Result<void>& taken, uint64_t generation) {
  policy_error_ = taken ? "" : taken.error().message;
  if (taken) {
    send_applied("", 0);
    return;
  }
  log(LogLevel::kError, taken.error().message, {{"generation", generation}});
  send_applied(taken.error().message, generation);
}

void Agent::handle(const v1::Question& question) {
  auto request = std::make_shared<v1::StreamRequest>();
  auto* answer = request->mutable_answer();
  answer->set_id(question.id());
  cw_question asked = {};
  asked.container = question.cgroup_id();
  asked.port = static_cast<uint16_t>(question.port());
  asked.protocol = static_cast<uint8_t>(question.protocol());
  asked.direction = static_cast<uint8_t>(question.direction());
  if (question.address().size() != sizeof(asked.address)) {
    answer->set_error("the address has to have 16 bytes");
  } else {
    std::copy_n(question.address().begin(), sizeof(asked.address), asked.address);
    if (const auto ok = kernel_->ask(&asked); !ok)
      answer->set_error(ok.error().message);
    else if (!asked.known)
      answer->set_error("the kernel does not know the container");
  }
  answer->set_verdict(static_cast<v1::Verdict>(asked.verdict));
  answer->set_rule(asked.rule);
  answer->set_generation(asked.generation);
  stream_->send(std::move(request));
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
  *applied = enforcement_->applied();
  applied->set_error(error);
  applied->set_rejected_generation(rejected_generation);
  stream_->send(std::move(request));
}

void Agent::send_ready() {
  while (auto message = delivery_->next_to_send()) stream_->send(std::move(message));
}

}  // namespace cellwall

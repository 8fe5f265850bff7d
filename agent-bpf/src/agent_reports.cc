// SPDX-License-Identifier: Apache-2.0
//
// What the main loop reports from time to time: counters, losses and open connections.
#include <unistd.h>

#include <array>
#include <fstream>

#include "agent.h"
#include "metrics.h"

namespace cellwall {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

v1::Statistics Agent::statistics() {
  static constexpr std::array kNames = {"kernel_ring_full",     "kernel_lifecycle_full",  "kernel_state_full",
                                        "kernel_peers_full",    "kernel_denied",          "kernel_audit",
                                        "kernel_incomplete",    "kernel_captures_full",   "kernel_names_full",
                                        "kernel_names_partial", "kernel_names_untrusted", "kernel_ports_full",
                                        "kernel_wall_denied"};
  static_assert(kNames.size() == CW_COUNT_MAX);
  const KernelCounters counters = kernel_->counters();
  v1::Statistics statistics;
  statistics.set_time_us(static_cast<uint64_t>(clock_.wall_us(boot_now_ns())));
  auto& values = *statistics.mutable_counters();
  for (size_t i = 0; i < kNames.size(); i++) values[kNames[i]] = counters[i];
  count(&values);
  statistics.set_certificate_error(credentials_->error());
  return statistics;
}

// Prometheus asks whether there is a server or not.
void Agent::report_statistics() {
  auto request = std::make_shared<v1::StreamRequest>();
  *request->mutable_statistics() = statistics();
  publish_status(request->statistics());
  const uint64_t lost = request->statistics().counters().at("kernel_lifecycle_full");
  if (connected_) stream_->send(std::move(request));
  if (lost != lifecycle_lost_) {
    lifecycle_lost_ = lost;
    rescan(steady_clock::now());
  }
  if (!connected_ || config_.open_interval != 0s) return;
  auto losses = std::make_unique<v1::StreamRequest>();
  add_losses(losses.get());
  offer_status(std::move(losses));
}

void Agent::publish_status(const v1::Statistics& statistics) {
  if (!status_server_) return;
  const MetricsContext context = {
      .version = kVersion, .connected = connected_, .applied = enforcement_->applied()};
  status_server_->publish(
      {.metrics = render_metrics(statistics, context), .not_ready = not_ready(statistics)});
}

// A server that is away is no reason: what is in force stays.
std::string Agent::not_ready(const v1::Statistics& statistics) const {
  if (access(config_.kernel.pin_directory.c_str(), F_OK) != 0)
    return config_.kernel.pin_directory + " is gone: what is in force ends with the agent";
  if (!policy_error_.empty()) return "the newest policy is not in force: " + policy_error_;
  if (const uint64_t failed = statistics.counters().at("containers_policy_failed"); failed > 0)
    return "the rules of " + std::to_string(failed) + " containers could not be put into the kernel";
  return "";
}

void Agent::count(google::protobuf::Map<std::string, uint64_t>* counters) {
  auto& values = *counters;
  values["kernel_events"] = kernel_->ring().newest_index();
  values["queue_bytes"] = delivery_->queue_bytes();
  values["queue_dropped_events"] = delivery_->dropped_events();
  count_spool(counters);
  values["ring_used_bytes"] = kernel_->ring().used_bytes();
  values["resident_bytes"] = resident_bytes();
  values["containers"] = containers_.count();
  values["containers_without_cgroup_v2"] = cgroup_versions_.containers_without_v2;
  values["containers_forgotten"] = containers_.forgotten();
  values["names"] = captured_->names().size();
  values["names_dropped"] = captured_->names().dropped();
  values["lookups"] = captured_->lookups().size();
  values["lookups_dropped"] = captured_->lookups().dropped();
  values["payloads"] = captured_->payloads().size();
  values["payloads_dropped"] = captured_->payloads().dropped();
  values["devices_with_second_wall"] = wall_->devices();
  values["containers_without_second_wall"] = wall_->without();
  enforcement_->count(counters);
  credentials_->count(counters);
}

// Look-ups ride on each status until one of them was acknowledged.
void Agent::offer_status(std::unique_ptr<v1::StreamRequest> request) {
  const uint64_t mark = captured_->lookups().fill(request->mutable_flows());
  delivery_->offer(std::move(request), mark);
}

v1::FlowBatch* Agent::add_losses(v1::StreamRequest* request) {
  auto* batch = request->mutable_flows();
  add_kernel_losses(batch);
  return batch;
}

void Agent::add_kernel_losses(v1::FlowBatch* batch) {
  const KernelCounters counters = kernel_->counters();
  auto* ring = batch->add_kernel_losses();
  ring->set_reason(v1::LOSS_REASON_RING_FULL);
  ring->set_total(counters[CW_COUNT_RING_FULL]);
  auto* peers = batch->add_kernel_losses();
  peers->set_reason(v1::LOSS_REASON_STATE_FULL);
  peers->set_total(counters[CW_COUNT_PEERS_FULL]);
}

void Agent::report_open_flows() {
  const auto sockets = kernel_->open_sockets();
  if (!sockets) {
    log(LogLevel::kError, sockets.error().message);
    return;
  }
  auto request = std::make_unique<v1::StreamRequest>();
  auto* open = add_losses(request.get())->mutable_open();
  open->set_time_us(static_cast<uint64_t>(clock_.wall_us(boot_now_ns())));
  std::vector<const cw_event*> flows;
  for (const cw_event& flow : sockets->flows) flows.push_back(&flow);
  const auto details = describer_->describe_open(flows);
  FlowEncoder encoder(open->mutable_flows(), clock_);
  for (size_t i = 0; i < flows.size(); i++) encoder.add(*flows[i], details[i]);
  for (const cw_event& socket : sockets->listeners)
    *open->add_listeners() = encode_listener(socket, describer_->container_of(socket));
  offer_status(std::move(request));
}

}  // namespace cellwall

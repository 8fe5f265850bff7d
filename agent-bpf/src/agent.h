// SPDX-License-Identifier: Apache-2.0
//
// The main loop: kernel, containers, policy and delivery, on one thread. Nothing here blocks: runtimes and
// the server are spoken to on threads of their own.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "captured.h"
#include "cgroup_tree.h"
#include "cgroup_versions.h"
#include "clock.h"
#include "config.h"
#include "containers.h"
#include "delivery.h"
#include "describe.h"
#include "enforcement.h"
#include "kernel.h"
#include "kernel_pins.h"
#include "rpc.h"
#include "runtimes.h"
#include "state_file.h"
#include "status_server.h"
#include "store_binding.h"
#include "wall_keeper.h"

namespace cellwall {

class Agent {
 public:
  static Result<std::unique_ptr<Agent>> start(const Config& config);
  // Until SIGTERM or SIGINT. What is enforced stays.
  void run();

 private:
  using Time = std::chrono::steady_clock::time_point;

  explicit Agent(const Config& config);
  Result<void> open_all();
  Result<void> make_waiter();
  std::string epoch() const;
  std::unique_ptr<BatchSpool> open_spool();
  void tell_spool_trouble();
  v1::Hello hello() const;
  void say_what_is_missing() const;

  void wait();
  void each_tick(Time now);
  void handle_lifecycle();
  void handle_server();
  void handle(const v1::Welcome& welcome);
  void handle(const v1::Acknowledge& acknowledge);
  void handle(const v1::RuleSetUpdate& update);
  void handle(const v1::RuleSetAmendment& amendment);
  void handle(const v1::RuleSetDifference& difference);
  void handle(const v1::Question& question);
  void handle(const v1::IssuedCertificate& issued);
  void handle(const v1::Authorities& authorities);
  void handle(const Disconnected& disconnected);
  Result<void> check_store(const v1::Welcome& welcome);
  Result<void> open_identity();
  void renew_certificate();
  Result<void> take(const v1::RuleSetUpdate& update);
  void send_ready();
  void stop();

  void rescan(Time now);
  // born_ns: CLOCK_BOOTTIME, 0: not seen.
  void container_born(const ContainerCgroup& cgroup, uint64_t born_ns, Time now);
  void container_died(uint64_t cgroup, Time now);
  void ask_runtimes(Time now);
  std::vector<Listing> ask_and_wait(Time now);
  void handle_runtimes();
  void look_for_v1_containers();
  void take_listing(const Listing& listing, Time now);
  void tell_state(const Listing& listing);
  void keep_wall(Time now);
  void recall_containers();
  void remember_containers();
  Result<void> start_enforcing();
  void answer(const Result<void>& taken, uint64_t generation);
  void send_applied(const std::string& error, uint64_t rejected_generation);
  void report_open_flows();
  v1::Statistics statistics();
  void report_statistics();
  void publish_status(const v1::Statistics& statistics);
  std::string not_ready(const v1::Statistics& statistics) const;
  void count(google::protobuf::Map<std::string, uint64_t>* counters);
  void count_spool(google::protobuf::Map<std::string, uint64_t>* counters);
  v1::FlowBatch* add_losses(v1::StreamRequest* request);
  void add_kernel_losses(v1::FlowBatch* batch);
  void offer_status(std::unique_ptr<v1::StreamRequest> request);

  const Config config_;
  Clock clock_;
  std::unique_ptr<Kernel> kernel_;
  std::optional<CgroupTree> tree_;
  Containers containers_;
  std::map<std::string, std::string> runtime_states_;  // by source: what was last said of it
  bool names_to_save_ = false;
  CgroupVersions cgroup_versions_;
  std::vector<Ability> abilities_;
  StateFile containers_file_;
  std::optional<Enforcement> enforcement_;  // empty: before what is here was looked at as a whole
  std::optional<WallKeeper> wall_;
  std::optional<Captured> captured_;
  std::optional<Describer> describer_;
  std::optional<Delivery> delivery_;
  std::unique_ptr<Credentials> credentials_;
  std::optional<StoreBinding> binding_;
  std::string policy_error_;  // why the newest generation is not in force
  std::string store_error_;   // why no rule sets are taken from this server
  std::unique_ptr<ServerStream> stream_;
  bool connected_ = false;
  std::string last_reason_;
  std::string spool_trouble_;
  uint64_t lifecycle_lost_ = 0;

  Fd epoll_;
  Fd signals_;
  Fd told_event_;  // the server or a runtime has told something
  bool stopping_ = false;
  Time next_sweep_, next_open_, next_statistics_, next_scan_, next_naming_;
  std::unique_ptr<StatusServer> status_server_;
  // Last, so that its threads end before what they notify.
  std::optional<Runtimes> runtimes_;
};

}  // namespace cellwall

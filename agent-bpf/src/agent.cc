// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "addresses.h"

namespace cellwall {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr int kPollMilliseconds = 100;
constexpr auto kSweepInterval = 1s;
constexpr auto kScanInterval = 30s;
// Asked on a thread of its own; a stop waits for it.
constexpr auto kRuntimeDeadline = 3s;
constexpr auto kStopFlush = 2s;

void set_addresses(v1::Hello* hello, const std::string& network_namespace) {
  hello->clear_addresses();
  // Without them, a node is known by its name alone; that its namespace cannot be read was said at the start.
  const auto addresses = node_addresses(network_namespace);
  if (!addresses) return;
  for (const std::string& address : *addresses) hello->add_addresses(address);
}

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

Agent::Agent(const Config& config)
    : config_(config),
      policy_file_(config.state_directory + "/rule-sets"),
      containers_file_(config.state_directory + "/containers") {}

Result<std::unique_ptr<Agent>> Agent::start(const Config& config) {
  std::unique_ptr<Agent> agent(new Agent(config));
  if (auto ok = agent->open_all(); !ok) return std::unexpected(ok.error());
  return agent;
}

Result<void> Agent::open_all() {
  auto kernel = Kernel::open(config_.kernel);
  if (!kernel) return std::unexpected(kernel.error());
  kernel_ = std::move(*kernel);
  auto tree = CgroupTree::open(config_.kernel.cgroup);
  if (!tree) return std::unexpected(tree.error());
  tree_.emplace(std::move(*tree));
  abilities_ = probe_abilities(config_.kernel);
  cgroup_versions_ = inspect_cgroups();
  if (auto ok = make_waiter(); !ok) return ok;
  log(LogLevel::kInfo, "watching",
      {{"cgroup", config_.kernel.cgroup},
       {"adopted", kernel_->adopted()},
       {"generation", kernel_->generation()}});

  const int event = told_event_.get();
  runtimes_.emplace(runtime_sources(config_.runtimes, open_cri), kRuntimeDeadline,
                    [event] { eventfd_write(event, 1); });
  const Time now = steady_clock::now();
  // Containers have their names before the policy is applied, and the policy is applied as a whole: what is
  // in force from an agent before this one must not be lifted for a moment.
  rescan(now);
  recall_containers();
  for (const Ability& naming : naming_abilities(ask_and_wait(now))) abilities_.push_back(naming);
  say_what_is_missing();
  restore_policy();
  started_ = true;
  wall_.emplace(*kernel_, containers_, [this](const std::string& path) { return tree_->directory(path); });
  wall_->changed();
  captured_.emplace(clock_, [this](uint64_t cgroup) { return tree_->container_of(cgroup); });
  describer_.emplace(*kernel_, *tree_, containers_, *captured_);
  if (auto ok = describer_->open_nat(config_.network_namespace); !ok)
    log(LogLevel::kWarning, "flows are recorded without their translated addresses: " + ok.error().message);
  delivery_.emplace(
      kernel_->ring(), clock_,
      [this](std::span<const cw_event* const> events) { return describer_->describe(events); },
      config_.delivery);

  auto stream = ServerStream::start(
      config_,
      [hello = hello(), where = config_.network_namespace]() mutable {
        set_addresses(&hello, where);
        return hello;
      },
      [event] { eventfd_write(event, 1); });
  if (!stream) return std::unexpected(stream.error());
  stream_ = std::move(*stream);
  next_sweep_ = next_open_ = next_statistics_ = next_naming_ = now;
  next_scan_ = now + kScanInterval;
  return {};
}

Result<void> Agent::make_waiter() {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGINT);
  if (pthread_sigmask(SIG_BLOCK, &mask, nullptr) != 0) return fail_errno("block signals");
  signals_ = Fd(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
  told_event_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  for (int fd : {signals_.get(), told_event_.get(), kernel_->ring_fd(), kernel_->lifecycle_fd(),
                 kernel_->captures_fd()}) {
    if (fd < 0) continue;  // no tracepoints of cgroups in this kernel
    // The ring stays readable until its events are acknowledged, so only a new wake-up may count.
    epoll_event event = {.events = EPOLLIN | (fd == kernel_->ring_fd() ? EPOLLET : 0U), .data = {.fd = fd}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
      return fail_errno("wait for the kernel's events");
  }
  return {};
}

v1::Hello Agent::hello() const {
  utsname system = {};
  uname(&system);
  v1::Hello hello;
  hello.set_node(config_.node);
  hello.set_epoch(boot_id() + "." + std::to_string(kernel_->ring_id()));
  hello.set_agent_version(kVersion);
  hello.set_kernel_release(system.release);
  hello.set_architecture(system.machine);
  hello.set_attach_point(config_.kernel.cgroup);
  for (const Ability& ability : abilities_) {
    auto* entry = hello.add_abilities();
    entry->set_name(ability.name);
    entry->set_present(ability.present);
    entry->set_consequence(ability.consequence);
  }
  return hello;
}

void Agent::say_what_is_missing() const {
  for (const Ability& ability : abilities_) {
    if (!ability.present)
      log(LogLevel::kWarning, "absent: " + ability.name, {{"consequence", ability.consequence}});
  }
}

void Agent::run() {
  while (!stopping_) {
    wait();
    const Time now = steady_clock::now();
    handle_lifecycle();
    handle_server();
    handle_runtimes();
    describer_->read_captures(now);
    each_tick(now);
    delivery_->step(now);
    send_ready();
  }
  stop();
}

void Agent::wait() {
  std::array<epoll_event, 8> events;
  const int count = epoll_wait(epoll_.get(), events.data(), events.size(), kPollMilliseconds);
  for (int i = 0; i < count; i++) {
    if (events[static_cast<size_t>(i)].data.fd == signals_.get()) {
      signalfd_siginfo signal;
      if (read(signals_.get(), &signal, sizeof(signal)) == sizeof(signal)) stopping_ = true;
    }
  }
}

void Agent::each_tick(Time now) {
  if (now >= next_sweep_) {
    clock_.refresh();
    describer_->tick(now);
    if (auto ok = kernel_->sweep_udp(); !ok) log(LogLevel::kError, ok.error().message);
    containers_.forget(now);
    if (names_to_save_) remember_containers();
    next_sweep_ = now + kSweepInterval;
  }
  if (now >= next_scan_) {
    rescan(now);
    ask_runtimes(now);  // names, labels and addresses can change
    if (cgroup_versions_.v1_in_use) look_for_v1_containers();
  }
  keep_wall(now);
  if (now >= next_naming_ && containers_.expects_names(now)) ask_runtimes(now);
  if (connected_ && config_.open_interval > 0s && now >= next_open_) {
    report_open_flows();
    next_open_ = now + config_.open_interval;
  }
  if (connected_ && now >= next_statistics_) {
    report_statistics();
    next_statistics_ = now + config_.statistics_interval;
  }
  if (connected_ && containers_.changed()) {
    auto request = std::make_shared<v1::StreamRequest>();
    *request->mutable_containers() = containers_.take_changes();
    stream_->send(std::move(request));
  }
}

void Agent::keep_wall(Time now) {
  for (const auto& [cgroup, message] : wall_->tick(now))
    log(LogLevel::kWarning, message, {{"cgroup", cgroup}});
}

void Agent::handle_lifecycle() {
  const Time now = steady_clock::now();
  bool born = false;
  kernel_->read_lifecycle([&](const cw_lifecycle& record) {
    ContainerCgroup cgroup;
    if (record.born) {
      if (!tree_->add(record.cgroup, record.path, &cgroup)) return;
      container_born(cgroup, now);
      born = true;
    } else if (tree_->remove(record.cgroup, now)) {
      container_died(record.cgroup, now);
    }
  });
  if (born) ask_runtimes(now);
}

void Agent::rescan(Time now) {
  std::vector<uint64_t> died;
  for (const ContainerCgroup& cgroup : tree_->scan(now, &died)) container_born(cgroup, now);
  for (uint64_t cgroup : died) container_died(cgroup, now);
  tree_->forget_dead(now);
  next_scan_ = now + kScanInterval;
}

void Agent::container_born(const ContainerCgroup& cgroup, Time now) {
  containers_.born(cgroup, now);
  if (started_) select_rule_sets({cgroup.id});
  log(LogLevel::kDebug, "container born", {{"cgroup", cgroup.id}, {"path", cgroup.path}});
}

void Agent::container_died(uint64_t cgroup, Time now) {
  containers_.died(cgroup, now);
  kernel_->stop_observing(cgroup);
  if (captured_) captured_->container_died(cgroup, now);
  if (auto ok = kernel_->remove_subject(cgroup); !ok) log(LogLevel::kError, ok.error().message);
  if (wall_) wall_->changed();
  log(LogLevel::kDebug, "container died", {{"cgroup", cgroup}});
}

void Agent::select_rule_sets(const std::vector<uint64_t>& containers) {
  for (uint64_t id : containers) {
    const v1::Container& container = containers_.all().at(id);
    // Without its name, or without the policy, nothing can be said about it: what is in force stays.
    const bool undecided = !policy_ || container.name().empty();
    if (undecided && kernel_->subject(id)) continue;
    const auto match = undecided ? Policy::Match{} : policy_->match(container);
    if (auto ok = kernel_->set_subject({.cgroup = id, .rule_set = match.rule_set, .directory = {}}); !ok)
      log(LogLevel::kError, ok.error().message, {{"cgroup", id}});
    if (match.partial) partially_covered_++;
    if (!undecided) observe(container);
  }
  if (wall_) wall_->changed();
}

void Agent::observe(const v1::Container& container) {
  const std::string directory = tree_->directory(container.cgroup_path());
  const auto ok = kernel_->observe(container.cgroup_id(), directory, policy_->observation(container));
  if (!ok)
    log(LogLevel::kWarning, "names and protocols of a container are not recorded: " + ok.error().message,
        {{"cgroup", container.cgroup_id()}});
}

void Agent::restore_policy() {
  auto payload = policy_file_.load();
  if (!payload) {
    log(LogLevel::kError, payload.error().message);
    return;
  }
  if (payload->empty()) return;
  if (const auto saved = Policy::parse(*payload); saved && saved->generation() < kernel_->generation()) {
    log(LogLevel::kWarning,
        "the saved policy is older than what is in force, which stays until the server answers",
        {{"saved", saved->generation()}, {"generation", kernel_->generation()}});
    return;
  }
  if (auto ok = apply_policy(*payload); !ok) {
    log(LogLevel::kError, ok.error().message);
    return;
  }
  log(LogLevel::kInfo, "policy of the last run is in force", {{"generation", policy_->generation()}});
}

Result<void> Agent::apply_policy(const std::string& payload) {
  auto parsed = Policy::parse(payload);
  if (!parsed) return std::unexpected(parsed.error());
  if (policy_ && parsed->generation() < policy_->generation())
    return fail("generation " + std::to_string(parsed->generation()) + " is older than " +
                std::to_string(policy_->generation()) + ", which is in force");
  KernelPolicy wanted = parsed->kernel_policy(containers_.all());
  for (KernelSubject& subject : wanted.subjects) {
    // The numbers of rule sets mean the same within one generation.
    const auto before = kernel_->subject(subject.cgroup);
    if (kernel_->generation() == wanted.generation && containers_.all().at(subject.cgroup).name().empty() &&
        before)
      subject.rule_set = before->rule_set;
  }
  if (auto ok = kernel_->apply(wanted); !ok) return ok;
  partially_covered_ = 0;
  for (const auto& [id, container] : containers_.all())
    partially_covered_ += parsed->match(container).partial;
  policy_ = std::move(*parsed);
  if (wall_) wall_->changed();
  digest_ = digest_of(payload);
  // What has no name yet goes on as it was.
  for (const auto& [id, container] : containers_.all())
    if (!container.name().empty()) observe(container);
  return {};
}

void Agent::stop() {
  const Time until = steady_clock::now() + kStopFlush;
  if (names_to_save_) remember_containers();
  delivery_->step(steady_clock::now());
  delivery_->flush();
  if (connected_) {
    auto last = std::make_unique<v1::StreamRequest>();
    add_losses(last.get());
    offer_status(std::move(last));
  }
  while (connected_ && steady_clock::now() < until && !delivery_->idle()) {
    send_ready();
    wait();
    handle_server();
  }
  log(LogLevel::kInfo, "stopped; what is enforced stays in force", {{"generation", kernel_->generation()}});
}

void Agent::report_statistics() {
  static constexpr std::array kNames = {"kernel_ring_full",  "kernel_lifecycle_full", "kernel_state_full",
                                        "kernel_peers_full", "kernel_denied",         "kernel_audit",
                                        "kernel_incomplete", "kernel_captures_full",  "kernel_wall_denied"};
  static_assert(kNames.size() == CW_COUNT_MAX);
  const KernelCounters counters = kernel_->counters();
  auto request = std::make_shared<v1::StreamRequest>();
  auto* statistics = request->mutable_statistics();
  statistics->set_time_us(static_cast<uint64_t>(clock_.wall_us(boot_now_ns())));
  auto& values = *statistics->mutable_counters();
  for (size_t i = 0; i < kNames.size(); i++) values[kNames[i]] = counters[i];
  values["kernel_events"] = kernel_->ring().newest_index();
  values["devices_with_second_wall"] = wall_->devices();
  values["containers_without_second_wall"] = wall_->without();
  values["queue_bytes"] = delivery_->queue_bytes();
  values["queue_dropped_events"] = delivery_->dropped_events();
  values["ring_used_bytes"] = kernel_->ring().used_bytes();
  values["resident_bytes"] = resident_bytes();
  values["containers"] = containers_.count();
  values["containers_partially_covered"] = partially_covered_;
  values["containers_without_cgroup_v2"] = cgroup_versions_.containers_without_v2;
  values["containers_forgotten"] = containers_.forgotten();
  values["names"] = captured_->names().size();
  values["names_dropped"] = captured_->names().dropped();
  values["lookups"] = captured_->lookups().size();
  values["lookups_dropped"] = captured_->lookups().dropped();
  values["payloads"] = captured_->payloads().size();
  values["payloads_dropped"] = captured_->payloads().dropped();
  stream_->send(std::move(request));
  if (counters[CW_COUNT_LIFECYCLE_FULL] != lifecycle_lost_) {
    lifecycle_lost_ = counters[CW_COUNT_LIFECYCLE_FULL];
    rescan(steady_clock::now());
  }
  auto losses = std::make_unique<v1::StreamRequest>();
  add_losses(losses.get());
  if (config_.open_interval == 0s) offer_status(std::move(losses));
}

// Look-ups ride on each status until one of them was acknowledged.
void Agent::offer_status(std::unique_ptr<v1::StreamRequest> request) {
  const uint64_t mark = captured_->lookups().fill(request->mutable_flows());
  delivery_->offer(std::move(request), mark);
}

v1::FlowBatch* Agent::add_losses(v1::StreamRequest* request) {
  const KernelCounters counters = kernel_->counters();
  auto* batch = request->mutable_flows();
  auto* ring = batch->add_kernel_losses();
  ring->set_reason(v1::LOSS_REASON_RING_FULL);
  ring->set_total(counters[CW_COUNT_RING_FULL]);
  auto* peers = batch->add_kernel_losses();
  peers->set_reason(v1::LOSS_REASON_STATE_FULL);
  peers->set_total(counters[CW_COUNT_PEERS_FULL]);
  return batch;
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

// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>

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

}  // namespace

Agent::Agent(const Config& config)
    : config_(config), containers_file_(config.state_directory + "/containers") {}

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
  if (const std::string& why = kernel_->guards_refused(); !why.empty())
    abilities_.push_back({"packets of containers under policy", false,
                          "connections are judged when they begin, at egress only: " + why, false});
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
  auto spool = open_spool();
  say_what_is_missing();
  captured_.emplace(clock_, [this](uint64_t cgroup) { return tree_->container_of(cgroup); });
  if (auto ok = start_enforcing(); !ok) return ok;
  wall_.emplace(*kernel_, containers_, [this](const std::string& path) { return tree_->directory(path); });
  wall_->changed();
  describer_.emplace(*kernel_, *tree_, containers_, *captured_);
  if (auto ok = describer_->open_nat(config_.network_namespace); !ok)
    log(LogLevel::kWarning, "flows are recorded without their translated addresses: " + ok.error().message);
  delivery_.emplace(
      kernel_->ring(), clock_,
      [this](std::span<const cw_event* const> events) { return describer_->describe(events); },
      config_.delivery, std::move(spool));

  if (auto ok = open_identity(); !ok) return ok;
  auto stream = ServerStream::start(
      config_, *credentials_,
      [hello = hello(), where = config_.network_namespace]() mutable {
        set_addresses(&hello, where);
        return hello;
      },
      [event] { eventfd_write(event, 1); });
  if (!stream) return std::unexpected(stream.error());
  stream_ = std::move(*stream);
  if (!config_.status_listen.empty()) {
    auto server = StatusServer::start(config_.status_listen);
    if (!server) return fail("--status-listen: " + server.error().message);
    status_server_ = std::move(*server);
    log(LogLevel::kInfo, "answering probes", {{"port", status_server_->port()}});
  }
  next_sweep_ = next_open_ = next_statistics_ = next_naming_ = now;
  next_scan_ = now + kScanInterval;
  return {};
}

Result<void> Agent::start_enforcing() {
  std::vector<KernelStartupAllow> allowed;
  if (config_.startup == Startup::kDeny) {
    allowed = startup_name_servers();
    allowed.insert(allowed.end(), config_.startup_allow.begin(), config_.startup_allow.end());
    // The agent can be a container itself. A server that is given by its name is found by --startup-allow.
    for (const auto& [address, name] : config_.servers) {
      if (const auto server = parse_startup_allow({address}); server)
        allowed.insert(allowed.end(), server->begin(), server->end());
    }
  }
  if (auto ok = kernel_->allow_at_startup(allowed); !ok) return ok;
  enforcement_.emplace(
      *kernel_, containers_, [this](const std::string& path) { return tree_->directory(path); },
      Enforcement::Options{.node = config_.node,
                           .file = config_.state_directory + "/rule-sets",
                           .startup = config_.startup,
                           .names = &captured_->names()});
  enforcement_->restore();
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

std::string Agent::epoch() const {
  return boot_id() + "." + std::to_string(kernel_->ring_id());
}

v1::Hello Agent::hello() const {
  utsname system = {};
  uname(&system);
  v1::Hello hello;
  hello.set_node(config_.node);
  hello.set_epoch(epoch());
  hello.set_agent_version(kVersion);
  hello.set_kernel_release(system.release);
  hello.set_architecture(system.machine);
  hello.set_takes_differences(true);
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
    if (status_server_) status_server_->turned();
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
  enforcement_->tick(now);
  renew_certificate();
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
  if (now >= next_statistics_) {
    report_statistics();
    next_statistics_ = now + config_.statistics_interval;
  }
  if (containers_.changed() && delivery_->wants_containers())
    delivery_->spool_containers(containers_.take_changes());
  tell_spool_trouble();
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
      container_born(cgroup, record.time_ns, now);
      born = true;
    } else if (tree_->remove(record.cgroup, now)) {
      container_died(record.cgroup, now);
    }
  });
  if (born) ask_runtimes(now);
}

void Agent::rescan(Time now) {
  std::vector<uint64_t> died;
  for (const ContainerCgroup& cgroup : tree_->scan(now, &died)) container_born(cgroup, 0, now);
  for (uint64_t cgroup : died) container_died(cgroup, now);
  tree_->forget_dead(now);
  next_scan_ = now + kScanInterval;
}

void Agent::container_born(const ContainerCgroup& cgroup, uint64_t born_ns, Time now) {
  containers_.born(cgroup, now);
  if (enforcement_) enforcement_->born(cgroup.id, born_ns, now);
  log(LogLevel::kDebug, "container born", {{"cgroup", cgroup.id}, {"path", cgroup.path}});
}

void Agent::container_died(uint64_t cgroup, Time now) {
  containers_.died(cgroup, now);
  if (captured_) captured_->container_died(cgroup, now);
  if (enforcement_) enforcement_->died(cgroup);
  if (wall_) wall_->changed();
  log(LogLevel::kDebug, "container died", {{"cgroup", cgroup}});
}

void Agent::stop() {
  enforcement_->stop();
  const Time until = steady_clock::now() + kStopFlush;
  if (names_to_save_) remember_containers();
  if (connected_) {
    auto last = std::make_unique<v1::StreamRequest>();
    add_losses(last.get());
    offer_status(std::move(last));
  }
  do {
    delivery_->step(steady_clock::now());
    delivery_->flush();
    send_ready();
    if (!connected_ || delivery_->idle()) break;
    wait();
    handle_server();
  } while (steady_clock::now() < until);
  delivery_->finish(steady_clock::now());
  log(LogLevel::kInfo, "stopped; what is enforced stays in force", {{"generation", kernel_->generation()}});
}

}  // namespace cellwall

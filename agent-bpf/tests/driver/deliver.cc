// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <fstream>

#include "config.h"
#include "delivery.h"
#include "driver.h"
#include "log.h"
#include "ring_file.h"
#include "rpc.h"

namespace cellwall::test {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto kStopFlush = 2s;

v1::ContainersUpdate containers() {
  v1::ContainersUpdate all;
  for (uint64_t i = 0; i < 50; i++) {
    auto* container = all.add_upserted();
    container->set_cgroup_id(1000 + i);
    container->set_name("c" + std::to_string(i));
    container->set_pod("driver");
    container->set_namespace_("chaos");
    container->set_image("none");
  }
  return all;
}

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

class Driver {
 public:
  explicit Driver(const Options& options)
      : options_(options),
        ring_(options.ring, false),
        reader_(ring_.reader()),
        told_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  int run() {
    auto spool = open_spool();
    if (!spool) return fail(spool.error().message);
    delivery_.emplace(
        reader_, clock_,
        [](std::span<const cw_event* const> events) {
          std::vector<FlowDetails> details(events.size());
          for (size_t i = 0; i < events.size(); i++) details[i].container = events[i]->container;
          return details;
        },
        DeliveryLimits{.queue_bytes = options_.queue_bytes}, std::move(*spool));
    if (auto ok = start_stream(); !ok) return fail(ok.error().message);
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    const Fd signals(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
    bool stopping = false;
    while (!stopping) {
      stopping = wait(signals.get());
      turn();
    }
    stop();
    return 0;
  }

 private:
  Result<std::unique_ptr<BatchSpool>> open_spool() {
    if (options_.spool_bytes == 0) return nullptr;
    return BatchSpool::open({.directory = options_.state + "/spool",
                             .limit_bytes = options_.spool_bytes,
                             .epoch = options_.epoch,
                             .containers = containers,
                             .kernel_losses = [this](v1::FlowBatch* batch) { add_losses(batch); }});
  }

  Result<void> start_stream() {
    Config config;
    auto servers = parse_servers(options_.server, "");
    if (!servers) return std::unexpected(servers.error());
    config.servers = *servers;
    CredentialOptions none;
    none.node = options_.node;
    none.state_directory = options_.state;
    auto credentials = Credentials::open(none);
    if (!credentials) return std::unexpected(credentials.error());
    credentials_ = std::move(*credentials);
    v1::Hello hello;
    hello.set_node(options_.node);
    hello.set_epoch(options_.epoch);
    const int told = told_.get();
    auto stream = ServerStream::start(
        config, *credentials_, [hello] { return hello; }, [told] { eventfd_write(told, 1); });
    if (!stream) return std::unexpected(stream.error());
    stream_ = std::move(*stream);
    return {};
  }

  void add_losses(v1::FlowBatch* batch) {
    auto* loss = batch->add_kernel_losses();
    loss->set_reason(v1::LOSS_REASON_RING_FULL);
    loss->set_total(ring_.ring_full().load());
  }

  // True: it is to stop.
  bool wait(int signals) {
    pollfd fds[] = {{.fd = told_.get(), .events = POLLIN, .revents = 0},
                    {.fd = signals, .events = POLLIN, .revents = 0}};
    poll(fds, 2, 20);
    eventfd_t ignored;
    (void)eventfd_read(told_.get(), &ignored);
    return fds[1].revents & POLLIN;
  }

  void turn() {
    for (const FromServer& message : stream_->take())
      std::visit([this](const auto& what) { handle(what); }, message);
    const auto now = steady_clock::now();
    if (connected_ && now >= next_report_) {
      auto status = std::make_unique<v1::StreamRequest>();
      add_losses(status->mutable_flows());
      delivery_->offer(std::move(status));
      report();
      next_report_ = now + 200ms;
    }
    delivery_->step(now);
    most_resident_ = std::max(most_resident_, resident_bytes());
    while (auto message = delivery_->next_to_send()) stream_->send(std::move(message));
  }

  void handle(const v1::Welcome& welcome) {
    connected_ = true;
    delivery_->connected(welcome.committed_event_index(), welcome.window());
    auto request = std::make_shared<v1::StreamRequest>();
    *request->mutable_containers() = containers();
    request->mutable_containers()->set_complete(true);
    stream_->send(std::move(request));
  }
  void handle(const v1::Acknowledge& acknowledge) { delivery_->acknowledged(acknowledge.sequence()); }
  void handle(const Disconnected& disconnected) {
    connected_ = false;
    delivery_->disconnected();
    log(LogLevel::kInfo, "not connected", {{"reason", disconnected.reason}});
  }
  template <typename Other>
  void handle(const Other&) {}

  void report() {
    auto request = std::make_shared<v1::StreamRequest>();
    auto& values = *request->mutable_statistics()->mutable_counters();
    const int64_t oldest = delivery_->oldest_us(), now = clock_.wall_us(boot_now_ns());
    values["lag_us"] = oldest > 0 && oldest < now ? static_cast<uint64_t>(now - oldest) : 0;
    values["queue_bytes"] = delivery_->queue_bytes();
    values["most_resident_bytes"] = most_resident_;
    values["merged_events"] = delivery_->squeezed().merged_events;
    values["shed_events"] = delivery_->squeezed().shed_events;
    values["spool_limit_bytes"] = options_.spool_bytes;
    values["unread_events"] = ring_.newest() - reader_.released_index();
    if (delivery_->spool()) {
      values["spool_bytes"] = delivery_->spool()->files().bytes();
      values["spool_dropped_events"] = delivery_->spool()->files().counters().dropped_events;
    }
    stream_->send(std::move(request));
  }

  void stop() {
    const auto until = steady_clock::now() + kStopFlush;
    do {
      delivery_->step(steady_clock::now());
      delivery_->flush();
      while (auto message = delivery_->next_to_send()) stream_->send(std::move(message));
      if (!connected_ || delivery_->idle()) break;
      wait(-1);
      for (const FromServer& message : stream_->take())
        std::visit([this](const auto& what) { handle(what); }, message);
    } while (steady_clock::now() < until);
    delivery_->finish(steady_clock::now());
  }

  const Options options_;
  Clock clock_;
  RingFile ring_;
  RingReader reader_;
  Fd told_;
  std::optional<Delivery> delivery_;
  bool connected_ = false;
  uint64_t most_resident_ = 0;
  steady_clock::time_point next_report_;
  std::unique_ptr<Credentials> credentials_;  // outlives the stream
  std::unique_ptr<ServerStream> stream_;
};

}  // namespace

int deliver(const Options& options) {
  signal(SIGPIPE, SIG_IGN);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &mask, nullptr);
  if (!RingFile(options.ring, true).good()) return fail("cannot make " + options.ring);
  return Driver(options).run();
}

}  // namespace cellwall::test

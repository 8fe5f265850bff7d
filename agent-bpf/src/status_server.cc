// SPDX-License-Identifier: Apache-2.0
#include "status_server.h"

#include <httplib.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "host_port.h"
#include "metrics.h"

namespace cellwall {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

// Who connects and says nothing holds a thread for so long; further ones wait.
constexpr auto kPatience = 2s;
constexpr size_t kThreads = 2;
constexpr size_t kMostRequestBytes = 4096;
constexpr char kPlain[] = "text/plain; charset=utf-8";

}  // namespace

struct StatusServer::Shared {
  std::string stuck() const {
    const auto quiet = steady_clock::now() - turned.load();
    if (quiet < stuck_after) return "";
    return "the main loop has not turned for " +
           std::to_string(std::chrono::duration_cast<std::chrono::seconds>(quiet).count()) + " s\n";
  }

  std::chrono::milliseconds stuck_after{};
  std::atomic<steady_clock::time_point> turned{steady_clock::now()};
  std::mutex mutex;
  AgentStatus status{.metrics = "# EOF\n", .not_ready = "starting"};
  httplib::Server server;
  std::thread thread;
};

StatusServer::StatusServer() : shared_(std::make_unique<Shared>()) {}

Result<std::unique_ptr<StatusServer>> StatusServer::start(const std::string& listen,
                                                          std::chrono::milliseconds stuck_after) {
  const auto [host, port_text] = split_host_port(listen);
  const auto port = parse_port(port_text);
  if (host.empty() || !port) return fail("'" + listen + "' is no HOST:PORT");
  std::unique_ptr<StatusServer> made(new StatusServer());
  Shared& shared = *made->shared_;
  shared.stuck_after = stuck_after;
  httplib::Server& server = shared.server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_read_timeout(kPatience);
  server.set_write_timeout(kPatience);
  server.set_keep_alive_max_count(1);
  server.set_payload_max_length(kMostRequestBytes);
  const auto answer = [](httplib::Response& response, const std::string& wrong) {
    response.status = wrong.empty() ? 200 : 503;
    response.set_content(wrong.empty() ? "ok\n" : wrong, kPlain);
  };
  server.Get("/healthz", [&shared, answer](const httplib::Request&, httplib::Response& response) {
    answer(response, shared.stuck());
  });
  server.Get("/readyz", [&shared, answer](const httplib::Request&, httplib::Response& response) {
    std::string wrong = shared.stuck();
    const std::lock_guard lock(shared.mutex);
    if (wrong.empty() && !shared.status.not_ready.empty()) wrong = shared.status.not_ready + "\n";
    answer(response, wrong);
  });
  server.Get("/metrics", [&shared](const httplib::Request&, httplib::Response& response) {
    const std::lock_guard lock(shared.mutex);
    response.set_content(shared.status.metrics, kOpenMetrics);
  });
  const bool any = *port == 0;
  made->port_ = any ? server.bind_to_any_port(host) : *port;
  if (made->port_ < 0 || (!any && !server.bind_to_port(host, *port)))
    return fail("listen on " + listen + ": the port is taken, or the address is not of this machine");
  shared.thread = std::thread([&shared] { shared.server.listen_after_bind(); });
  // stop() of one that does not run yet would do nothing.
  while (!server.is_running()) std::this_thread::sleep_for(1ms);
  return made;
}

StatusServer::~StatusServer() {
  shared_->server.stop();
  if (shared_->thread.joinable()) shared_->thread.join();
}

void StatusServer::turned() {
  shared_->turned = steady_clock::now();
}

void StatusServer::publish(AgentStatus status) {
  const std::lock_guard lock(shared_->mutex);
  shared_->status = std::move(status);
}

}  // namespace cellwall

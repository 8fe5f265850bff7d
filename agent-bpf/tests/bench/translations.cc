// SPDX-License-Identifier: Apache-2.0
//
// What looking up translated addresses costs the agent: a client in a pod connects through a service address
// at a steady rate, both ends are tracked, and each 100 ms the events that wait are looked up, as the agent
// does. Prints one JSON object; CPU is that of the look-ups alone, as a share of one core.
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "../kernel/translated_network.h"
#include "measure.h"

namespace cellwall::test {
namespace {

using std::chrono::steady_clock;

double cpu_seconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

int connect_steadily(int per_second, int seconds) {
  const auto start = steady_clock::now();
  for (int i = 0; i < per_second * seconds; i++) {
    if (tcp_abort(kV4.service, kServicePort) != 0) return 1;
    while (steady_clock::now() < start + std::chrono::microseconds(1000000LL * (i + 1) / per_second))
      usleep(200);
  }
  return 0;
}

int serve_all(Signal& ready) {
  const Server server(SOCK_STREAM, kV4.database, kDatabasePort);
  ready.give();
  for (;;) close(accept(server.fd(), nullptr, nullptr));
}

class Bench : public Standalone<TranslatedNetwork> {
 public:
  void run(int per_second, int seconds) {
    must_start();
    Signal ready;
    Child serving(db_, [&] {
      database_.enter();
      return serve_all(ready);
    });
    ready.wait();
    Child connecting(web_, [&] {
      pod_.enter();
      return connect_steadily(per_second, seconds);
    });
    Nat joiner = nat();
    size_t flows = 0, translated = 0;
    double cpu = 0;
    const auto begin = steady_clock::now();
    while (steady_clock::now() < begin + std::chrono::seconds(seconds)) {
      usleep(100000);
      const auto found = events();
      std::vector<const cw_event*> batch;
      for (const cw_event& event : found) batch.push_back(&event);
      const double before = cpu_seconds();
      for (const NatResult& result : joiner.look_up(batch, steady_clock::now()))
        translated += result.translation.has_value();
      cpu += cpu_seconds() - before;
      flows += batch.size();
    }
    const int failed = connecting.join();
    const double elapsed = std::chrono::duration<double>(steady_clock::now() - begin).count();
    std::printf(
        "{\"connections_per_second\": %.0f, \"flows\": %zu, \"translated\": %zu, \"look_ups\": %llu, "
        "\"ns_per_look_up\": %.0f, \"cpu_percent\": %.2f, \"failed\": %d}\n",
        static_cast<double>(flows) / 2 / elapsed, flows, translated,
        static_cast<unsigned long long>(joiner.look_ups()),
        cpu * 1e9 / static_cast<double>(joiner.look_ups()), cpu * 100 / elapsed, failed);
  }
};

}  // namespace
}  // namespace cellwall::test

int main(int argc, char** argv) {
  const int per_second = argc > 1 ? std::atoi(argv[1]) : 2000;
  cellwall::test::enter_own_namespaces();
  cellwall::test::Bench bench;
  bench.SetUp();
  bench.run(per_second, 8);
  bench.TearDown();
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// Real translation: a pod and a database in network namespaces of their own, and a node between them that
// sends a service address to the database and hides the pod behind its own address.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "fd.h"
#include "fixture.h"
#include "nat.h"
#include "sockets.h"

namespace cellwall::test {

constexpr uint16_t kServicePort = 5432;
constexpr uint16_t kDatabasePort = 15432;

// Lives as long as the object, and has no name that another test could meet.
class NetworkNamespace {
 public:
  NetworkNamespace();
  void enter() const;                          // the calling process, for good
  void run(const std::string& command) const;  // by the shell; a failure fails the test
  std::string path() const;

 private:
  Fd fd_;
};

std::string text(const Endpoint& end);

// Traffic of one address family. The pod has address .2 in one network, the database in the other; the node
// has .1 in both.
struct Family {
  std::string pod, database, node, service, far;  // far: beyond the node, nobody answers there
};
extern const Family kV4, kV6;

class TranslatedNetwork : public KernelTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  Nat nat();
  // Runs work in a container's cgroup and a namespace.
  static int run_at(const NetworkNamespace& network, const std::string& cgroup,
                    const std::function<int()>& work);
  // A server in a container: takes one connection, receives 10 bytes and sends 20.
  class OneServer {
   public:
    OneServer(const NetworkNamespace& network, const std::string& cgroup, const std::string& address,
              uint16_t port, int type = SOCK_STREAM);
    int join() { return child_.join(); }

   private:
    Signal ready_;
    Child child_;
  };
  // 10 bytes there and 20 back, by a client in the container web of the pod to the one in db.
  void exchange(const Family& family = kV4, int type = SOCK_STREAM);
  const cw_event* find(const std::vector<cw_event>& events, cw_direction direction);

  NetworkNamespace node_, pod_, database_;
  std::string web_, db_;                            // cgroups
  std::vector<std::array<uint8_t, 16>> addresses_;  // of the pod, as its runtime tells them

 private:
  Fd before_;
  std::unique_ptr<Signal> end_;
  std::unique_ptr<Child> pause_;  // keeps a process in the pod
};

}  // namespace cellwall::test

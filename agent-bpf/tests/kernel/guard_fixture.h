// SPDX-License-Identifier: Apache-2.0
//
// A container under policy, web, and connections that it has open.
#pragma once

#include <string>
#include <vector>

#include "fixture.h"
#include "processes.h"
#include "sockets.h"

namespace cellwall::test {

class GuardTest : public KernelTest {
 protected:
  void SetUp() override;
  // Everything both ways; one network each way is denied.
  std::vector<KernelPeer> all_but(const std::string& to, const std::string& from = "") const;
  std::vector<cw_event> of_web();

  std::string web_;
};

// How many bytes come, until there were none for that time, or there are so many; -1 at the end: it was
// reset.
ssize_t read_for(int fd, int milliseconds, size_t most = SIZE_MAX);
// What has to come, with half a minute of patience: machines that are emulated are slow.
ssize_t read_bytes(int fd, size_t bytes);

// A client in a cgroup that has connected to 10.7.0.1 and sent five bytes, which have come.
class OpenConnection {
 public:
  OpenConnection(const std::string& cgroup, const Server& server, int protocol = 0);
  ~OpenConnection();
  OpenConnection(const OpenConnection&) = delete;
  OpenConnection& operator=(const OpenConnection&) = delete;

  // The server's end, -1: there is no connection.
  int accepted() const { return accepted_; }
  // The client sends five more.
  void send_more() { more_.give(); }
  // It closes its end; 0: its socket had taken all bytes.
  int end();

 private:
  Signal connected_, more_, end_;
  Child client_;
  int accepted_ = -1;
};

}  // namespace cellwall::test

// SPDX-License-Identifier: Apache-2.0
//
// A pod with two containers, web and side, behind a veth of the node; web may send to the database, and to
// its own networks inside of tunnels, and nowhere else.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "frames.h"
#include "translated_network.h"

namespace cellwall::test {

constexpr char kNodeEnd[] = "cwpod0";
constexpr char kInner[] = "192.168.77.9";  // allowed; reached through tunnels
constexpr char kDenied[] = "203.0.113.7";

class WallTest : public TranslatedNetwork {
 protected:
  void SetUp() override;
  void TearDown() override;

  void start_agent(bool filters = false);
  void guard(uint32_t flags = CW_SUBJECT_GUARDED | CW_SUBJECT_REFUSES_SOCKETS);
  // side lives in the pod, and nobody guards it.
  WallReport keep(bool guarded = true, bool side = true, bool again = true);
  // Sends from a container of the pod; returns how many frames came through to the node.
  int arrives(const std::string& cgroup, const Bytes& bytes, uint16_t ethertype);
  int arrives(const std::string& cgroup, const Packet& packet);
  int in_pod(const std::string& cgroup, const std::function<int()>& work) {
    return run_at(pod_, cgroup, work);
  }
  uint64_t refused() const { return kernel_->counters()[CW_COUNT_WALL]; }
  // What the wall told, without what other hooks did.
  std::vector<cw_event> told();

  std::string side_;

 private:
  std::unique_ptr<Signal> side_end_;
  std::unique_ptr<Child> side_child_;
};

}  // namespace cellwall::test

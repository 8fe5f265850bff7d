// SPDX-License-Identifier: Apache-2.0
//
// The kernel side as the agent sees it: load or adopt, read events, write policy. Knows libbpf, nothing of
// gRPC.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cellwall/events.h"
#include "ip_address.h"
#include "kernel_observe.h"
#include "result.h"
#include "ring.h"
#include "wall_report.h"

namespace cellwall {

struct KernelOptions {
  std::string cgroup;         // absolute path of a cgroup v2 directory, never the root of the hierarchy
  std::string pin_directory;  // on a bpffs; made when missing
  uint32_t ring_bytes =
      1 << 20;  // mapped twice into resident memory; full: events are lost and counted (ring_full)
  uint32_t flow_slots = 16384;           // power of two; a busy slot: the flow is kept beside its socket
  uint32_t udp_peers = 65536;            // full: conversations are judged, not recorded (peers_full)
  uint32_t policy_containers = 8192;     // full: the generation is refused, the old one stays
  uint32_t policy_peers = 1 << 20;       // full: as above
  uint32_t policy_ports = 1 << 20;       // full: as above
  uint32_t policy_addresses = 1 << 17;   // full: as above, and amendments are refused
  uint32_t policy_identities = 1 << 18;  // full: likewise
  uint32_t policy_names = 1 << 16;       // full: likewise
  uint32_t policy_results = 1 << 16;  // kept look-ups; full: the least recently used one is looked up again
  uint32_t learned_addresses = 1 << 16;  // by looking up names; full: answers are dropped (names_full)
  std::chrono::seconds udp_idle{30};     // unconnected UDP conversations end after this much silence
  bool without_guards =
      false;  // packets and kinds of sockets are not judged, as where the kernel refuses that
  std::string network_namespace = "/proc/1/ns/net";  // the node's: see Config
  bool wall_filters = false;    // at devices: filters also where the kernel has links for that
  bool force_fallback = false;  // use the hooks for kernels which cannot read a socket at its release
};

// Classes are unique over all rule sets; a class gives the verdict by protocol and port.
struct KernelPeer {
  uint32_t rule_set;
  cw_direction direction;
  Address network;
  uint8_t prefix_length;  // 0 to 128
  uint32_t class_id;
};

struct KernelIdentity {
  uint32_t rule_set;
  cw_direction direction;
  uint32_t identity;
  uint32_t class_id;
};

struct KernelAddress {
  Address address;
  uint32_t identity;
};

struct KernelName {
  uint32_t rule_set;
  std::string name;  // as cellwall.v1.NameEntry.name
  uint32_t class_id;
};

struct KernelPort {
  uint32_t class_id;
  uint8_t protocol;            // 0 with port_prefix_length 0: any
  uint16_t port;               // host byte order
  uint8_t port_prefix_length;  // 0 to 16
  uint8_t verdict;             // enum cw_verdict
  uint32_t rule;
  uint8_t lift = CW_LIFT_NONE;
  uint32_t lifted_rule = 0;
};

struct KernelSubject {
  uint64_t cgroup;
  uint32_t rule_set = 0;  // 0: none
  uint32_t flags = 0;     // enum cw_subject_flag
  std::string directory;  // of the cgroup, absolute
  uint32_t net = 0;       // its network namespace: the inode number; 0: not known, it learns no names
  // Of its pod. The first two count: one of each family.
  std::vector<Address> addresses = {};
};

struct KernelRules {
  std::vector<KernelPeer> peers;
  std::vector<KernelIdentity> identities;
  std::vector<KernelName> names;
  std::vector<KernelPort> ports;
};

struct KernelPolicy {
  uint64_t generation = 0;  // from 1
  std::vector<KernelSubject> subjects;
  KernelRules rules;
  std::vector<KernelAddress> addresses;
};

// A name server that containers may learn from.
struct KernelResolver {
  uint32_t net = 0;  // for one network namespace, also over its loopback; 0: for all, not over loopback
  Address address;   // as containers ask it
};

// An address that a container learned by looking up a name.
struct KernelLearned {
  uint64_t container;
  Address address;
  uint64_t pattern;   // pattern_number() of KernelName.name
  uint64_t until_ns;  // CLOCK_BOOTTIME
};

// On top of the generation in force.
struct KernelAmendment {
  KernelRules rules;  // of rule sets and classes that were not there, or identities that known rule sets lack
  std::vector<KernelAddress> addresses;
  std::vector<Address> removed_addresses;
};

// What a container may reach before it is known (CW_SUBJECT_STARTUP), beside loopback.
struct KernelStartupAllow {
  Address address = {};  // all zero: any
  uint8_t protocol;
  uint16_t port;  // host byte order
};

struct Ability {
  std::string name;
  bool present;
  std::string consequence;  // what does not work without it and what to do; empty when present
  bool required;
};

// Totals since the maps were made, by enum cw_counter.
using KernelCounters = std::array<uint64_t, CW_COUNT_MAX>;

// Below the attach point, now; end_ns is the time of the look.
struct OpenSockets {
  std::vector<cw_event> flows;      // end is CW_END_OPEN
  std::vector<cw_event> listeners;  // end is CW_END_LISTENING
};

class Kernel {
 public:
  // Loads the programs, or adopts what an earlier agent left pinned and puts the new programs into its links.
  // Errors: not a cgroup v2 directory, the root, missing capability, missing BTF, no bpffs; each says what to
  // do.
  static Result<std::unique_ptr<Kernel>> open(const KernelOptions& options);
  virtual ~Kernel() = default;

  virtual bool adopted() const = 0;
  virtual uint32_t ring_id() const = 0;  // map id, unique during a boot
  virtual int ring_fd() const = 0;       // for epoll: readable when the kernel wants the reader
  virtual int lifecycle_fd() const = 0;  // likewise
  virtual int captures_fd() const = 0;   // likewise
  virtual RingReader& ring() = 0;
  virtual size_t read_lifecycle(const std::function<void(const cw_lifecycle&)>& each) = 0;
  virtual KernelCounters counters() const = 0;
  virtual Result<OpenSockets> open_sockets() = 0;
  // Ends UDP conversations which are idle; their events go through the ring. Call it about once a second.
  virtual Result<void> sweep_udp() = 0;

  // directory: the container's cgroup, absolute. Costs that container a little for each of its packets.
  virtual Result<void> observe(uint64_t cgroup, const std::string& directory, Observation wanted) = 0;
  virtual void stop_observing(uint64_t cgroup) = 0;
  virtual void read_captures(const OnCapture& each) = 0;

  // All or nothing: on an error the generation before stays in force. Guarded subjects have their packets
  // judged from here on, and what is open and not allowed any more is cut by cut_refused().
  virtual Result<void> apply(const KernelPolicy& policy) = 0;
  // In the order ports, classes, addresses, so that each moment is right. On an error, what was added stays.
  virtual Result<void> amend(const KernelAmendment& amendment) = 0;
  // For containers that are born or die between two generations.
  virtual Result<void> set_subject(const KernelSubject& subject) = 0;
  virtual Result<void> remove_subject(uint64_t cgroup) = 0;
  // Replaces the list.
  virtual Result<void> allow_at_startup(const std::vector<KernelStartupAllow>& allowed) = 0;
  // The rule set and flags that are in force for a container; empty: the maps do not know it.
  virtual std::optional<cw_subject> subject(uint64_t cgroup) const = 0;
  // Replaces the list; at most 1,024. Without any, nothing is learned.
  virtual Result<void> set_resolvers(const std::vector<KernelResolver>& resolvers) = 0;
  // What a name server answered to the container, which learns names, when no rule had the name yet. ttl: the
  // answer's, in seconds, taken within the limits. time_ns: when it came, CLOCK_BOOTTIME. Error: no room.
  virtual Result<void> learn(uint64_t container, const Address& address, const std::string& name,
                             uint32_t ttl, uint64_t time_ns) = 0;
  virtual Result<std::vector<KernelLearned>> learned() const = 0;
  // Takes away what is over, or of containers that are no subjects any more. Call it about every ten seconds:
  // a container has room for so many addresses.
  virtual Result<void> sweep_names() = 0;
  // Fills in the answer: what the policy in force says of such a connection.
  virtual Result<void> ask(cw_question* question) = 0;
  // Destroys the open connections of guarded containers that the policy in force refuses; their peers are
  // told by a reset. Returns how many there were.
  virtual Result<size_t> cut_refused() = 0;
  virtual uint64_t generation() const = 0;  // in force, 0: none
  // Why packets of guarded containers are not judged; empty: they are.
  virtual const std::string& guards_refused() const = 0;

  // Keeps the second wall: see Wall::keep. Error: the node's network namespace cannot be opened.
  virtual Result<WallReport> keep_wall(const std::vector<WallContainer>& containers, bool again) = 0;

  // Removes links and pins. Without it they stay, and go on enforcing, when the process ends.
  virtual Result<void> uninstall() = 0;
};

// Takes everything out of the kernel that an agent left pinned there; enforcement ends. Nothing pinned is no
// error.
Result<void> remove_pins(const std::string& pin_directory);

// What this kernel can do. Loads and drops small programs; attaches nothing.
std::vector<Ability> probe_abilities(const KernelOptions& options);

}  // namespace cellwall

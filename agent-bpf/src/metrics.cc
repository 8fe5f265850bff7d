// SPDX-License-Identifier: Apache-2.0
#include "metrics.h"

#include <array>
#include <cstdio>
#include <map>
#include <string_view>

namespace cellwall {
namespace {

enum class Kind { kCounter, kGauge };

struct Metric {
  std::string_view counter;  // in Statistics
  std::string_view name;     // without the prefix, and without the _total of counters
  Kind kind;
  std::string_view help;
  double factor = 1;
};

constexpr double kMicroseconds = 1e-6;
constexpr auto kCounter = Kind::kCounter;
constexpr auto kGauge = Kind::kGauge;

constexpr std::array kMetrics = {
    Metric{"kernel_events", "events", kCounter, "Events that the kernel has put into the ring."},
    Metric{"kernel_ring_full", "ring_full_events", kCounter, "Events lost because the ring was full."},
    Metric{"kernel_peers_full", "udp_peers_full_flows", kCounter,
           "UDP conversations judged and not recorded, for want of room."},
    Metric{"kernel_state_full", "state_full_flows", kCounter,
           "Flows judged and recorded in part, for want of room."},
    Metric{"kernel_lifecycle_full", "lifecycle_full", kCounter,
           "Births and deaths of containers not told by the kernel; the tree is read again."},
    Metric{"kernel_denied", "denied_attempts", kCounter, "Connects and datagrams refused by policy."},
    Metric{"kernel_audit", "audited_attempts", kCounter,
           "Connects and datagrams let through which policies in audit mode would refuse."},
    Metric{"kernel_wall_denied", "wall_denied_packets", kCounter,
           "Packets refused at the node's end of a pod's interface."},
    Metric{"kernel_incomplete", "incomplete_refusals", kCounter,
           "Refusals because a rule set says nothing about a peer: an error of the server."},
    Metric{"kernel_captures_full", "captures_full", kCounter,
           "First payloads and answers of name servers not captured, for want of room."},
    Metric{"kernel_names_full", "name_answers_full", kCounter,
           "Answers of name servers dropped for want of room for what they teach; resolvers ask again."},
    Metric{"kernel_names_partial", "name_answers_partial", kCounter,
           "Answers of name servers that were not learned as a whole."},
    Metric{"kernel_names_untrusted", "name_answers_untrusted", kCounter,
           "Answers not learned because they did not come from a resolver of the container."},
    Metric{"kernel_ports_full", "container_ports_full", kCounter,
           "Ports of containers that their neighbours are not kept from, for want of room."},
    Metric{"queue_bytes", "queue_bytes", kGauge, "Batches in memory."},
    Metric{"queue_dropped_events", "queue_dropped_events", kCounter,
           "Events lost because the queue in memory was full."},
    Metric{"merged_events", "merged_events", kCounter,
           "Events whose rows were merged with alike ones, for want of room."},
    Metric{"shed_events", "shed_events", kCounter, "Events whose rows were left out, for want of room."},
    Metric{"lag_us", "lag_seconds", kGauge, "Age of the oldest event that the server does not have.",
           kMicroseconds},
    Metric{"spool_limit_bytes", "spool_limit_bytes", kGauge, "Room of the spool on disk; 0: there is none."},
    Metric{"spool_unwritable", "spool_unwritable", kGauge, "1: the spool on disk cannot be written."},
    Metric{"spool_bytes", "spool_bytes", kGauge, "Spool on disk."},
    Metric{"spool_batches", "spool_batches", kGauge, "Batches in the spool on disk."},
    Metric{"spool_dropped_events", "spool_dropped_events", kCounter,
           "Events lost because the spool on disk was full."},
    Metric{"spool_damaged_places", "spool_damaged_places", kCounter,
           "Places of the spool on disk that could not be read back."},
    Metric{"ring_used_bytes", "ring_used_bytes", kGauge, "Events in the ring that the server does not have."},
    Metric{"resident_bytes", "resident_memory_bytes", kGauge, "Memory of the agent that is resident."},
    Metric{"containers", "containers", kGauge, "Containers that run."},
    Metric{"containers_without_cgroup_v2", "containers_without_cgroup_v2", kGauge,
           "Containers that are not seen, being in no cgroup of version 2."},
    Metric{"containers_forgotten", "containers_forgotten", kCounter,
           "Dead containers forgotten early, for want of room."},
    Metric{"names", "names", kGauge, "Names that containers have looked up and may still use."},
    Metric{"names_dropped", "names_dropped", kCounter, "Names forgotten early, for want of room."},
    Metric{"lookups", "lookups", kGauge, "Look-ups that wait for being told to the server."},
    Metric{"lookups_dropped", "lookups_dropped", kCounter, "Look-ups not recorded, for want of room."},
    Metric{"payloads", "payloads", kGauge, "First payloads whose flow has not ended."},
    Metric{"payloads_dropped", "payloads_dropped", kCounter, "First payloads forgotten, for want of room."},
    Metric{"containers_partially_covered", "containers_partially_covered", kGauge,
           "Containers whose policies name peers that this node does not know."},
    Metric{"containers_refused_at_startup", "containers_refused_at_startup", kGauge,
           "Containers that are refused everything until a runtime names them."},
    Metric{"containers_policy_failed", "containers_policy_failed", kGauge,
           "Containers whose rules could not be put into the kernel; tried again."},
    Metric{"connections_cut", "connections_cut", kCounter, "Open connections ended because a rule came."},
    Metric{"policy_revision", "policy_revision", kGauge,
           "Changes of containers' addresses since the generation began."},
    Metric{"startup_policy_us", "startup_policy_seconds", kGauge,
           "From the birth of the newest container to its rules.", kMicroseconds},
    Metric{"startup_policy_longest_us", "startup_policy_longest_seconds", kGauge,
           "The longest of these since the agent began.", kMicroseconds},
    Metric{"certificate_ends_seconds", "certificate_ends_timestamp_seconds", kGauge,
           "When the agent's certificate ends."},
    Metric{"certificate_renewals", "certificate_renewals", kCounter, "Certificates that were renewed."},
    Metric{"certificate_renewals_failed", "certificate_renewals_failed", kCounter,
           "Certificates that were asked for and not got."},
    Metric{"devices_with_second_wall", "wall_devices", kGauge,
           "Interfaces of pods whose packets are judged at the node's end."},
    Metric{"containers_without_second_wall", "containers_without_wall", kGauge,
           "Containers under policy whose packets are not judged there."},
};

std::string number(double value) {
  // Counts are exact up to 2^53.
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.15g", value);
  return text.data();
}

void describe(std::string* out, const std::string& name, Kind kind, std::string_view help) {
  *out += "# TYPE " + name + (kind == kCounter ? " counter\n" : " gauge\n");
  if (!help.empty()) *out += "# HELP " + name + " " + std::string(help) + "\n";
}

void add(std::string* out, std::string_view short_name, Kind kind, std::string_view help, double value) {
  const std::string name = "cellwall_agent_" + std::string(short_name);
  describe(out, name, kind, help);
  *out += name + (kind == kCounter ? "_total " : " ") + number(value) + "\n";
}

}  // namespace

std::string render_metrics(const v1::Statistics& statistics, const MetricsContext& context) {
  std::string out;
  describe(&out, "cellwall_agent", kGauge, "1, with the version of the agent.");
  out += "cellwall_agent{version=\"" + context.version + "\"} 1\n";
  add(&out, "connected", kGauge, "1: a server is connected.", context.connected);
  add(&out, "policy_generation", kGauge, "Generation of the rules that are in force; 0: none.",
      static_cast<double>(context.applied.generation()));
  add(&out, "containers_under_policy", kGauge, "Containers that a policy selects.",
      context.applied.containers());
  // In one order, whatever the map's.
  std::map<std::string_view, uint64_t> rest(statistics.counters().begin(), statistics.counters().end());
  for (const Metric& metric : kMetrics) {
    const auto found = rest.find(metric.counter);
    if (found == rest.end()) continue;
    add(&out, metric.name, metric.kind, metric.help, static_cast<double>(found->second) * metric.factor);
    rest.erase(found);
  }
  for (const auto& [name, value] : rest) add(&out, name, kGauge, "", static_cast<double>(value));
  return out + "# EOF\n";
}

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
#include "metrics.h"

#include <gtest/gtest.h>

namespace cellwall::test {
namespace {

v1::Statistics statistics(std::initializer_list<std::pair<const char*, uint64_t>> counters) {
  v1::Statistics made;
  for (const auto& [name, value] : counters) (*made.mutable_counters())[name] = value;
  return made;
}

// OpenMetrics 1.0, section 5: counters end in _total in samples and not in families, the text ends with #
// EOF.
TEST(Metrics, writes_counters_and_gauges_as_openmetrics_has_them) {
  v1::Applied applied;
  applied.set_generation(7);
  applied.set_containers(3);
  EXPECT_EQ(render_metrics(statistics({{"kernel_denied", 12}, {"queue_bytes", 4096}}),
                           {.version = "1.2.3", .connected = true, .applied = applied}),
            "# TYPE cellwall_agent gauge\n"
            "# HELP cellwall_agent 1, with the version of the agent.\n"
            "cellwall_agent{version=\"1.2.3\"} 1\n"
            "# TYPE cellwall_agent_connected gauge\n"
            "# HELP cellwall_agent_connected 1: a server is connected.\n"
            "cellwall_agent_connected 1\n"
            "# TYPE cellwall_agent_policy_generation gauge\n"
            "# HELP cellwall_agent_policy_generation Generation of the rules that are in force; 0: none.\n"
            "cellwall_agent_policy_generation 7\n"
            "# TYPE cellwall_agent_containers_under_policy gauge\n"
            "# HELP cellwall_agent_containers_under_policy Containers that a policy selects.\n"
            "cellwall_agent_containers_under_policy 3\n"
            "# TYPE cellwall_agent_denied_attempts counter\n"
            "# HELP cellwall_agent_denied_attempts Connects and datagrams refused by policy.\n"
            "cellwall_agent_denied_attempts_total 12\n"
            "# TYPE cellwall_agent_queue_bytes gauge\n"
            "# HELP cellwall_agent_queue_bytes Batches in memory.\n"
            "cellwall_agent_queue_bytes 4096\n"
            "# EOF\n");
}

TEST(Metrics, gives_times_in_seconds_and_large_counts_exactly) {
  const std::string text =
      render_metrics(statistics({{"lag_us", 1'500'000}, {"kernel_events", 123'456'789'012'345}}), {});
  EXPECT_NE(text.find("\ncellwall_agent_lag_seconds 1.5\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\ncellwall_agent_events_total 123456789012345\n"), std::string::npos) << text;
}

TEST(Metrics, gives_what_it_does_not_know_without_a_description) {
  const std::string text = render_metrics(statistics({{"new_one", 5}}), {});
  EXPECT_NE(text.find("# TYPE cellwall_agent_new_one gauge\ncellwall_agent_new_one 5\n"), std::string::npos);
}

}  // namespace
}  // namespace cellwall::test

// SPDX-License-Identifier: Apache-2.0
//
// What the agent counts, as OpenMetrics 1.0 text. The number of series does not depend on what containers do.
#pragma once

#include <string>

#include "cellwall/v1/agent.pb.h"

namespace cellwall {

inline constexpr char kOpenMetrics[] = "application/openmetrics-text; version=1.0.0; charset=utf-8";

// What no counter says.
struct MetricsContext {
  std::string version;
  bool connected = false;
  v1::Applied applied;
};

// Counters that are not known here are given as gauges without a description.
std::string render_metrics(const v1::Statistics& statistics, const MetricsContext& context);

}  // namespace cellwall

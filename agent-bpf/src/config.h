// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "credentials.h"
#include "delivery.h"
#include "kernel.h"
#include "log.h"
#include "runtimes.h"
#include "server_list.h"
#include "startup.h"

namespace cellwall {

enum class Command { kRun, kCheck, kUninstall, kVersion };

struct Config {
  Command command = Command::kRun;
  KernelOptions kernel;
  DeliveryLimits delivery;
  size_t spool_bytes = size_t{512} << 20;  // in the state directory; 0: none
  std::string node;
  std::vector<ServerAddress> servers;
  TlsFiles tls;
  std::string join_token_file;
  std::string service_account_token_file;
  std::string accept_store;
  RuntimeSockets runtimes{kAutoSocket, kAutoSocket, kAutoSocket};
  std::string state_directory = "/var/lib/cellwall";
  Startup startup = Startup::kAllow;
  std::vector<KernelStartupAllow> startup_allow;
  std::string network_namespace = "/proc/1/ns/net";  // in which the node translates addresses
  std::chrono::seconds open_interval{10};            // 0: open connections are not reported
  std::chrono::seconds statistics_interval{10};
  std::string status_listen;  // HOST:PORT, see StatusServer; empty: none
  LogLevel log_level = LogLevel::kInfo;
};

inline constexpr char kVersion[] = "0.1.0";
inline constexpr int kExitUsage = 2;

// Reads flags and the file that --config names. Returns an exit code where there is nothing to run: 0 after
// --help, kExitUsage after one line on stderr that says what is wrong.
int read_config(int argc, char** argv, Config* config, bool* run);

// Plain text is for this machine only.
bool is_local_address(const std::string& server);

}  // namespace cellwall

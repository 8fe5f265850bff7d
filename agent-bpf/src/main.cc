// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdio>

#include "agent.h"
#include "check.h"
#include "wall.h"

namespace {

// On a node whose processors are all taken, the rules of a new container must be there before it runs, and a
// denial must reach its connections at once. The agent uses little, so that nobody misses it.
constexpr int kNiceness = -10;

int run(const cellwall::Config& config) {
  // A runtime or a server that hangs up while it is written to is an error of that call, not the end.
  signal(SIGPIPE, SIG_IGN);
  cellwall::set_log_level(config.log_level);
  if (setpriority(PRIO_PROCESS, 0, kNiceness) != 0)
    cellwall::log(cellwall::LogLevel::kInfo, "ordinary priority: the agent lacks CAP_SYS_NICE");
  auto agent = cellwall::Agent::start(config);
  if (!agent) {
    cellwall::log(cellwall::LogLevel::kError, agent.error().message);
    return 1;
  }
  // What loading has freed (the kernel's type information, the programs) goes back to the kernel.
  malloc_trim(0);
  (*agent)->run();
  return 0;
}

constexpr std::chrono::seconds kRuntimeDeadline{3};

int check(const cellwall::Config& config) {
  auto abilities = cellwall::probe_abilities(config.kernel);
  cellwall::Runtimes runtimes(cellwall::runtime_sources(config.runtimes, cellwall::open_cri),
                              kRuntimeDeadline, [] {});
  runtimes.ask();
  runtimes.wait(kRuntimeDeadline);
  for (auto& naming : cellwall::naming_abilities(runtimes.take())) abilities.push_back(std::move(naming));
  return cellwall::print_abilities(abilities) ? 0 : 1;
}

int uninstall(const cellwall::Config& config) {
  auto ok = cellwall::remove_wall(config.kernel.pin_directory, config.network_namespace);
  if (ok) ok = cellwall::remove_pins(config.kernel.pin_directory);
  if (!ok) {
    std::fprintf(stderr, "cellwall-agent: %s\n", ok.error().message.c_str());
    return 1;
  }
  std::printf("nothing of Cellwall is left in %s\n", config.kernel.pin_directory.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // One arena: each of gRPC's threads would keep up to 64 MiB of address space and its own free memory.
  mallopt(M_ARENA_MAX, 1);
  cellwall::Config config;
  bool go_on = false;
  const int code = cellwall::read_config(argc, argv, &config, &go_on);
  if (!go_on) return code;
  switch (config.command) {
    case cellwall::Command::kVersion:
      std::printf("cellwall-agent %s\n", cellwall::kVersion);
      return 0;
    case cellwall::Command::kCheck:
      return check(config);
    case cellwall::Command::kUninstall:
      return uninstall(config);
    case cellwall::Command::kRun:
      return run(config);
  }
  return 1;
}

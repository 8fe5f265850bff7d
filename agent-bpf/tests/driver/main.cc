// SPDX-License-Identifier: Apache-2.0
//
// Feeds synthetic events into the agent's real delivery, spool and stream, for test/chaos:
//   cellwall-delivery-driver produce --ring FILE --events N [--rate N] [--denied-in N] [--peers N] [--lossy]
//   cellwall-delivery-driver deliver --ring FILE --server HOST:PORT --state DIRECTORY [--spool-bytes N]
//   [--epoch ID]
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "driver.h"

namespace cellwall::test {

int fail(const std::string& message) {
  std::fprintf(stderr, "cellwall-delivery-driver: %s\n", message.c_str());
  return 1;
}

}  // namespace cellwall::test

int main(int argc, char** argv) {
  mallopt(M_ARENA_MAX, 1);  // as the agent
  cellwall::test::Options options;
  CLI::App app("synthetic events through the agent's real delivery");
  app.require_subcommand(1);
  auto* produce = app.add_subcommand("produce", "fill the ring, as a kernel does");
  auto* deliver = app.add_subcommand("deliver", "empty the ring, as an agent does");
  for (auto* command : {produce, deliver}) command->add_option("--ring", options.ring)->required();
  produce->add_option("--events", options.events)->required();
  produce->add_option("--first", options.first);
  produce->add_option("--rate", options.rate);
  produce->add_option("--denied-in", options.denied_in);
  produce->add_option("--peers", options.peers);
  produce->add_flag("--lossy", options.lossy);
  deliver->add_option("--server", options.server)->required();
  deliver->add_option("--state", options.state)->required();
  deliver->add_option("--spool-bytes", options.spool_bytes);
  deliver->add_option("--queue-bytes", options.queue_bytes);
  deliver->add_option("--epoch", options.epoch);
  deliver->add_option("--node", options.node);
  CLI11_PARSE(app, argc, argv);
  return produce->parsed() ? cellwall::test::produce(options) : cellwall::test::deliver(options);
}

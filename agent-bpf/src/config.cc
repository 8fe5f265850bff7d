// SPDX-License-Identifier: Apache-2.0
#include "config.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <map>

namespace cellwall {
namespace {

std::string host_name() {
  std::array<char, 256> name = {};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

const std::map<std::string, LogLevel> kLevels = {{"debug", LogLevel::kDebug},
                                                 {"info", LogLevel::kInfo},
                                                 {"warn", LogLevel::kWarning},
                                                 {"error", LogLevel::kError}};

void add_kernel_options(CLI::App& app, KernelOptions& kernel, uint64_t* udp_idle) {
  app.add_option("--cgroup", kernel.cgroup,
                 "cgroup v2 directory above the containers, such as /sys/fs/cgroup/kubepods.slice")
      ->type_name("DIRECTORY");
  app.add_option("--pin-directory", kernel.pin_directory, "where programs and maps are pinned, on a bpffs")
      ->type_name("DIRECTORY")
      ->capture_default_str();
  app.add_option("--ring-bytes", kernel.ring_bytes, "event ring; full: events are lost and counted")
      ->check(CLI::Range(4096, 256 << 20))
      ->capture_default_str();
  app.add_option("--flow-slots", kernel.flow_slots,
                 "connections whose state is kept in the fast table; others cost a little more")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--udp-peers", kernel.udp_peers,
                 "further peers of unconnected UDP sockets; full: judged, not recorded, counted")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--policy-containers", kernel.policy_containers,
                 "containers; more: the new policy is refused")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--policy-peers", kernel.policy_peers,
                 "networks in all rule sets; more: the new policy is refused")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--policy-ports", kernel.policy_ports,
                 "port entries in all rule sets; more: the new policy is refused")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--policy-addresses", kernel.policy_addresses,
                 "addresses of containers, services and nodes; more: the new policy is refused")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--policy-identities", kernel.policy_identities,
                 "entries for groups of addresses in all rule sets; more: the new policy is refused")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--policy-names", kernel.policy_names,
                 "domain names in all rule sets; more: the new policy is refused")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--policy-results", kernel.policy_results,
                 "verdicts kept for peers that are asked for again; full: the oldest are looked up anew")
      ->check(CLI::Range(1024, 1 << 24))
      ->capture_default_str();
  app.add_option("--udp-idle", *udp_idle, "seconds without a datagram after which a UDP conversation ends")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  app.add_flag("--force-fallback", kernel.force_fallback, "read sockets as kernels before 6.2 have to");
}

// Enough segments for the oldest to go without much of the rest.
constexpr size_t kSmallestSpool = 1 << 20;

const std::map<std::string, Startup> kStartups = {{"allow", Startup::kAllow}, {"deny", Startup::kDeny}};

void add_startup_options(CLI::App& app, Config& config, std::vector<std::string>* allow) {
  app.add_option("--startup", config.startup,
                 "allow, or deny: a container is refused all but loopback and name servers (port 53) until a "
                 "runtime has told what it is")
      ->transform(CLI::CheckedTransformer(kStartups, CLI::ignore_case).description(""))
      ->default_str("allow");
  app.add_option("--startup-allow", *allow,
                 "with --startup deny: addresses that are never refused, such as that of the API server; "
                 "without a port, 443 and 6443 (TCP)")
      ->type_name("ADDRESS[:PORT]");
}

void add_runtime_options(CLI::App& app, RuntimeSockets& sockets) {
  app.add_option(
         "--cri-socket", sockets.cri,
         "socket of the runtime of Kubernetes (containerd, CRI-O, cri-dockerd); auto: where it usually is, "
         "\"\": none")
      ->type_name("SOCKET")
      ->capture_default_str();
  app.add_option("--docker-socket", sockets.docker,
                 "socket of Docker, such as /run/docker.sock; auto and \"\" as above")
      ->type_name("SOCKET")
      ->capture_default_str();
  app.add_option("--podman-socket", sockets.podman,
                 "socket of Podman, such as /run/podman/podman.sock; auto and \"\" as above")
      ->type_name("SOCKET")
      ->capture_default_str();
}

struct ServerOptions {
  std::string servers = "127.0.0.1:7480";
  std::string tls_names;
};

void add_server_options(CLI::App& app, Config& config, ServerOptions* server) {
  app.add_option(
         "--server", server->servers,
         "address of the server; several, with commas between them, share one store: the next is tried "
         "when one does not answer")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_option(
         "--tls-ca", config.tls.authority,
         "certificate of the authority that signed the server's; none: plain text, to this machine only")
      ->type_name("FILE");
  app.add_option("--tls-cert", config.tls.certificate, "certificate of this agent")->type_name("FILE");
  app.add_option("--tls-key", config.tls.key, "key of this agent")->type_name("FILE");
  app.add_option("--tls-server-name", server->tls_names,
                 "name that the server's certificate has to have; one for all servers, or one for each, with "
                 "commas between them")
      ->type_name("NAME");
  app.add_option("--join-token-file", config.join_token_file,
                 "file with a token of 'cellwall node join-token create', to get the first certificate with")
      ->type_name("FILE");
  app.add_option("--service-account-token-file", config.service_account_token_file,
                 "in Kubernetes: projected token of the audience cellwall-agent, to get certificates with")
      ->type_name("FILE");
  app.add_option("--accept-store", config.accept_store,
                 "take rule sets of the server's store with this id, though those in force are of another")
      ->type_name("ID");
  app.add_option(
         "--spool-bytes", config.spool_bytes,
         "flows kept in the state directory while the server is away or slower than they come; full: "
         "alike ones are merged, then the oldest are dropped and counted, refusals and new peers last; "
         "0: none are kept there")
      ->check(CLI::Range(size_t{0}, size_t{1} << 40))
      ->capture_default_str();
  app.add_option("--queue-bytes", config.delivery.queue_bytes,
                 "the same in memory, for when there is no spool or it cannot be written")
      ->check(CLI::Range(size_t{64} << 10, size_t{4} << 30))
      ->capture_default_str();
}

bool speaks_tls(const Config& config) {
  return !config.tls.authority.empty() || !config.join_token_file.empty() ||
         access((config.state_directory + kIdentityFile).c_str(), F_OK) == 0;
}

std::string what_is_wrong(const Config& config) {
  if (config.command == Command::kVersion || config.command == Command::kUninstall) return "";
  if (config.kernel.cgroup.empty())
    return "--cgroup is missing: name the cgroup v2 directory above the containers, such as "
           "/sys/fs/cgroup/kubepods.slice";
  if (config.command == Command::kCheck) return "";
  if (config.node.empty()) return "--node is missing, and this machine has no host name";
  for (const auto& [server, name] : config.servers) {
    if (!speaks_tls(config) && !is_local_address(server))
      return "--server " + server +
             " is not on this machine: plain text is refused; give --join-token-file or --tls-ca";
  }
  if (config.spool_bytes > 0 && config.spool_bytes < kSmallestSpool)
    return "--spool-bytes " + std::to_string(config.spool_bytes) + ": give 0, or at least " +
           std::to_string(kSmallestSpool);
  if (!config.tls.certificate.empty() &&
      (!config.join_token_file.empty() || !config.service_account_token_file.empty()))
    return "--tls-cert is a certificate already: leave --join-token-file and --service-account-token-file "
           "out";
  if (config.tls.certificate.empty() != config.tls.key.empty())
    return "--tls-cert and --tls-key go together: one is missing";
  for (const std::string& file : {config.tls.authority, config.tls.certificate, config.tls.key}) {
    if (!file.empty() && access(file.c_str(), R_OK) != 0) return file + ": " + std::strerror(errno);
  }
  return "";
}

}  // namespace

bool is_local_address(const std::string& server) {
  if (server.starts_with("unix:")) return true;
  const std::string host = server.substr(0, server.rfind(':'));
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

int read_config(int argc, char** argv, Config* config, bool* run) {
  CLI::App app(
      "cellwall-agent: sees every connection of every container on this node, and enforces its policy.");
  app.name("cellwall-agent");
  *run = false;
  config->node = host_name();
  config->kernel.pin_directory = "/sys/fs/bpf/cellwall";
  std::vector<std::string> startup_allow;
  uint64_t udp_idle = 30, open_interval = 10, statistics_interval = 10;
  app.set_config("--config", "",
                 "file with the same options, one a line: cgroup = \"/sys/fs/cgroup/kubepods.slice\"");
  app.allow_config_extras(CLI::config_extras_mode::error);
  add_kernel_options(app, config->kernel, &udp_idle);
  ServerOptions server;
  add_server_options(app, *config, &server);
  app.add_option("--node", config->node, "name of this node")->capture_default_str();
  add_runtime_options(app, config->runtimes);
  add_startup_options(app, *config, &startup_allow);
  app.add_option("--state-directory", config->state_directory,
                 "keeps the last policy for the next start, and the spool")
      ->type_name("DIRECTORY")
      ->capture_default_str();
  app.add_option("--network-namespace", config->network_namespace,
                 "network namespace in which this node translates addresses")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_option("--open-interval", open_interval, "seconds between reports of open connections; 0: none")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  app.add_option("--statistics-interval", statistics_interval, "seconds between reports of counters")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  app.add_option("--status-listen", config->status_listen,
                 "answer GET /healthz, /readyz and /metrics (OpenMetrics) here, to anybody; none: do not")
      ->type_name("HOST:PORT");
  app.add_option("--log-level", config->log_level, "debug, info, warn or error")
      ->transform(CLI::CheckedTransformer(kLevels, CLI::ignore_case).description(""))
      ->default_str("info");
  app.fallthrough();
  app.add_subcommand("run", "watch and enforce until stopped; what is enforced stays (the default)")
      ->callback([&] { config->command = Command::kRun; });
  app.add_subcommand("check", "what this kernel can do, what is missing, what to do about it")->callback([&] {
    config->command = Command::kCheck;
  });
  app.add_subcommand("uninstall", "remove programs and maps from the kernel; enforcement ends")
      ->callback([&] { config->command = Command::kUninstall; });
  app.add_subcommand("version", "print the version")->callback([&] { config->command = Command::kVersion; });
  app.footer(
      "Exit codes: 0 stopped as asked, or nothing is missing; 1 failed, or something is missing; 2 wrong "
      "usage.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "cellwall-agent: %s; 'cellwall-agent --help' lists what there is\n", error.what());
    return kExitUsage;
  }
  config->kernel.udp_idle = std::chrono::seconds(udp_idle);
  config->kernel.network_namespace = config->network_namespace;
  config->open_interval = std::chrono::seconds(open_interval);
  config->statistics_interval = std::chrono::seconds(statistics_interval);
  const auto allowed = parse_startup_allow(startup_allow);
  if (allowed) config->startup_allow = *allowed;
  const auto servers = parse_servers(server.servers, server.tls_names);
  if (servers) config->servers = *servers;
  if (const std::string wrong = !allowed   ? allowed.error().message
                                : !servers ? servers.error().message
                                           : what_is_wrong(*config);
      !wrong.empty()) {
    std::fprintf(stderr, "cellwall-agent: %s\n", wrong.c_str());
    return kExitUsage;
  }
  *run = true;
  return 0;
}

}  // namespace cellwall

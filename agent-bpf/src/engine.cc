// SPDX-License-Identifier: Apache-2.0
#include "engine.h"

#include <nlohmann/json.hpp>

#include "http_socket.h"

namespace cellwall {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr char kListPath[] = "/containers/json?all=1";
// The oldest version of Podman's own API that is served; Docker answers 404.
constexpr char kPodsPath[] = "/v4.0.0/libpod/pods/json";
constexpr char kKubernetesLabel[] = "io.kubernetes.pod.uid";
constexpr std::string_view kSharesNetwork = "container:";
constexpr uint64_t kMicroseconds = 1'000'000;

// Null where the object has no such key, or is none: answers of other versions are no error.
const json& at(const json& object, const char* key) {
  static const json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : "";
}

std::map<std::string, std::string> labels_of(const json& object) {
  std::map<std::string, std::string> labels;
  if (!object.is_object()) return labels;
  for (const auto& [key, value] : object.items()) labels[key] = text_of(value);
  return labels;
}

// Docker lists "/other/alias" too, the name by which a linked container calls it.
std::string name_of(const json& names) {
  if (!names.is_array()) return "";
  for (const json& entry : names) {
    const std::string name = text_of(entry);
    if (name.starts_with('/') && name.rfind('/') == 0) return name.substr(1);
  }
  return "";
}

std::vector<std::string> addresses_of(const json& container) {
  std::vector<std::string> addresses;
  const json& networks = at(at(container, "NetworkSettings"), "Networks");
  if (!networks.is_object()) return addresses;
  for (const auto& [name, network] : networks.items()) {
    for (const char* key : {"IPAddress", "GlobalIPv6Address"}) {
      std::string address = text_of(at(network, key));
      if (!address.empty()) addresses.push_back(std::move(address));
    }
  }
  return addresses;
}

RuntimeContainer read_container(const json& listed, Engine engine) {
  RuntimeContainer container;
  container.runtime = engine == Engine::kDocker ? "docker" : "podman";
  container.name = name_of(at(listed, "Names"));
  container.image = text_of(at(listed, "Image"));
  container.labels = labels_of(at(listed, "Labels"));
  container.addresses = addresses_of(listed);
  const json& created = at(listed, "Created");
  if (created.is_number_unsigned()) container.created_us = created.get<uint64_t>() * kMicroseconds;
  return container;
}

// "--network container:other": the addresses are the other's.
void share_addresses(const json& list, RuntimeContainers* containers) {
  for (const json& listed : list) {
    const std::string mode = text_of(at(at(listed, "HostConfig"), "NetworkMode"));
    if (!mode.starts_with(kSharesNetwork)) continue;
    const auto one = containers->find(text_of(at(listed, "Id")));
    const auto other = containers->find(mode.substr(kSharesNetwork.size()));
    if (one != containers->end() && other != containers->end())
      one->second.addresses = other->second.addresses;
  }
}

class EngineRuntime : public Runtime {
 public:
  EngineRuntime(std::string socket, Engine engine) : socket_(std::move(socket)), engine_(engine) {}

  Result<RuntimeContainers> list(milliseconds deadline) override {
    const auto until = steady_clock::now() + deadline;
    const auto text = get(kListPath, deadline);
    if (!text) return std::unexpected(text.error());
    auto found = parse_engine_list(*text, engine_);
    if (!found || engine_ == Engine::kDocker || found->empty()) return found;
    const auto left = std::chrono::duration_cast<milliseconds>(until - steady_clock::now());
    const auto pods = get(kPodsPath, std::max(left, milliseconds(1)));
    if (!pods) return std::unexpected(pods.error());
    if (auto ok = add_podman_pods(*pods, &*found); !ok) return std::unexpected(ok.error());
    return found;
  }

 private:
  Result<std::string> get(const char* path, milliseconds deadline) const {
    auto answer = http_get(socket_, path, deadline);
    if (!answer) return std::unexpected(answer.error());
    if (answer->status != 200)
      return fail("GET " + std::string(path) + " from " + socket_ + ": HTTP status " +
                  std::to_string(answer->status));
    return std::move(answer->body);
  }

  const std::string socket_;
  const Engine engine_;
};

}  // namespace

std::string socket_path(const std::string& socket) {
  constexpr std::string_view kScheme = "unix://";
  return socket.starts_with(kScheme) ? socket.substr(kScheme.size()) : socket;
}

Result<RuntimeContainers> parse_engine_list(const std::string& text, Engine engine) {
  const json list = json::parse(text, nullptr, false);
  if (!list.is_array()) return fail("the answer to GET /containers/json is no list of containers");
  RuntimeContainers found;
  for (const json& listed : list) {
    const std::string id = text_of(at(listed, "Id"));
    if (id.empty() || at(listed, "Labels").contains(kKubernetesLabel)) continue;
    RuntimeContainer container = read_container(listed, engine);
    if (!container.name.empty()) found[id] = std::move(container);
  }
  share_addresses(list, &found);
  return found;
}

Result<void> add_podman_pods(const std::string& text, RuntimeContainers* containers) {
  const json pods = json::parse(text, nullptr, false);
  // Without pods, some versions say null.
  if (pods.is_discarded()) return fail("the answer to GET /libpod/pods/json is no JSON");
  for (const json& pod : pods) {
    const std::string sandbox = text_of(at(pod, "InfraId"));
    for (const json& member : at(pod, "Containers")) {
      const auto found = containers->find(text_of(at(member, "Id")));
      if (found == containers->end()) continue;
      found->second.pod = text_of(at(pod, "Name"));
      if (!sandbox.empty() && found->first == sandbox) found->second.name = kSandboxName;
      found->second.labels.merge(labels_of(at(pod, "Labels")));
    }
  }
  return {};
}

std::unique_ptr<Runtime> open_engine(const std::string& socket, Engine engine) {
  return std::make_unique<EngineRuntime>(socket_path(socket), engine);
}

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
//
// The runtime of Kubernetes, asked over CRI.
#include <grpcpp/grpcpp.h>

#include <unordered_map>

#include "container_ports.h"
#include "cri/runtime/v1/api.grpc.pb.h"
#include "runtime.h"

namespace cellwall {
namespace {

namespace cri = ::runtime::v1;
using std::chrono::milliseconds;

// All containers of a node come in one message.
constexpr int kMaxCriBytes = 64 << 20;

// The kubelet names an image by its id, and says beside that what the pod's specification calls it.
std::string image_of(const cri::Container& container) {
  const auto& image = container.image();
  if (!image.user_specified_image().empty()) return image.user_specified_image();
  return image.image().empty() ? container.image_ref() : image.image();
}

class CriRuntime : public Runtime {
 public:
  explicit CriRuntime(const std::string& socket) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    arguments.SetMaxReceiveMessageSize(kMaxCriBytes);
    // The runtime wants a host name, and a socket has none.
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
    stub_ = cri::RuntimeService::NewStub(
        grpc::CreateCustomChannel(socket, grpc::InsecureChannelCredentials(), arguments));
  }

  Result<RuntimeContainers> list(milliseconds deadline) override {
    const auto until = std::chrono::system_clock::now() + deadline;
    cri::ListPodSandboxResponse pods;
    cri::ListContainersResponse containers;
    // Containers first: a pod is there before its containers are, so none of these is without its pod.
    {
      grpc::ClientContext context;
      context.set_deadline(until);
      if (auto status = stub_->ListContainers(&context, {}, &containers); !status.ok())
        return refused(status);
    }
    {
      grpc::ClientContext context;
      context.set_deadline(until);
      if (auto status = stub_->ListPodSandbox(&context, {}, &pods); !status.ok()) return refused(status);
    }
    if (name_.empty()) name_ = ask_name(until);
    return join(pods, containers, until);
  }

  bool speaks() const override { return speaks_; }

 private:
  std::unexpected<Error> refused(const grpc::Status& status) {
    speaks_ = status.error_code() != grpc::StatusCode::UNIMPLEMENTED;
    return fail("list its containers: " + status.error_message());
  }

  std::string ask_name(std::chrono::system_clock::time_point until) {
    grpc::ClientContext context;
    context.set_deadline(until);
    cri::VersionResponse version;
    return stub_->Version(&context, {}, &version).ok() ? version.runtime_name() : "";
  }

  RuntimeContainers join(const cri::ListPodSandboxResponse& pods,
                         const cri::ListContainersResponse& containers,
                         std::chrono::system_clock::time_point until) {
    RuntimeContainers found;
    for (const auto& pod : pods.items()) {
      RuntimeContainer entry;
      entry.runtime = name_;
      entry.name = kSandboxName;
      entry.namespace_name = pod.metadata().namespace_();
      entry.pod = pod.metadata().name();
      entry.pod_uid = pod.metadata().uid();
      entry.labels = {pod.labels().begin(), pod.labels().end()};
      entry.addresses = addresses(pod.id(), until);
      entry.created_us = static_cast<uint64_t>(pod.created_at() / 1000);
      found[pod.id()] = std::move(entry);
    }
    for (const auto& container : containers.containers()) {
      const auto pod = found.find(container.pod_sandbox_id());
      if (pod == found.end()) continue;  // removed between the two calls
      RuntimeContainer entry = pod->second;
      entry.name = container.metadata().name();
      entry.image = image_of(container);
      if (const auto ports = container.annotations().find(kPortsAnnotation);
          ports != container.annotations().end())
        entry.ports = parse_container_ports(ports->second);
      entry.created_us = static_cast<uint64_t>(container.created_at() / 1000);
      found[container.id()] = std::move(entry);
    }
    return found;
  }

  // Of a sandbox they never change, so each is asked for once.
  std::vector<std::string> addresses(const std::string& sandbox,
                                     std::chrono::system_clock::time_point until) {
    if (const auto known = addresses_.find(sandbox); known != addresses_.end()) return known->second;
    grpc::ClientContext context;
    context.set_deadline(until);
    cri::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(sandbox);
    cri::PodSandboxStatusResponse response;
    if (!stub_->PodSandboxStatus(&context, request, &response).ok()) return {};
    std::vector<std::string> found;
    const auto& network = response.status().network();
    if (!network.ip().empty()) found.push_back(network.ip());
    for (const auto& more : network.additional_ips()) found.push_back(more.ip());
    if (found.empty()) return found;
    if (addresses_.size() >= kRemembered) addresses_.clear();
    return addresses_[sandbox] = found;
  }

  static constexpr size_t kRemembered = 4096;
  std::unique_ptr<cri::RuntimeService::Stub> stub_;
  std::string name_;
  bool speaks_ = true;
  std::unordered_map<std::string, std::vector<std::string>> addresses_;
};

}  // namespace

std::unique_ptr<Runtime> open_cri(const std::string& socket) {
  return std::make_unique<CriRuntime>("unix://" + socket_path(socket));
}

}  // namespace cellwall

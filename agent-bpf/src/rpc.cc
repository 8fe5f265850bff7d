// SPDX-License-Identifier: Apache-2.0
#include "rpc.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <random>
#include <thread>

#include "cellwall/v1/agent.grpc.pb.h"
#include "container_ports.h"
#include "cri/runtime/v1/api.grpc.pb.h"
#include "rpc_channel.h"

namespace cellwall {
namespace {

namespace cri = ::runtime::v1;
using Lock = std::unique_lock<std::mutex>;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kFirstBackoff{200};
constexpr milliseconds kLongestBackoff{5000};
constexpr int kSilentHeartbeats = 3;
constexpr milliseconds kDefaultHeartbeat{5000};
// The rule sets of a node: 100,000 networks are some 3 MB.
constexpr int kMaxMessageBytes = 64 << 20;

class GrpcStream : public ServerStream {
 public:
  GrpcStream(const Config& config, Credentials& credentials, MakeHello hello, Notify notify)
      : server_{.address = config.server, .tls_name = config.tls.server_name},
        credentials_(credentials),
        hello_(std::move(hello)),
        notify_(std::move(notify)) {
    writer_ = std::thread([this] { run(); });
  }

  ~GrpcStream() override {
    {
      Lock lock(mutex_);
      stopping_ = true;
      if (context_) context_->TryCancel();
    }
    changed_.notify_all();
    writer_.join();
  }

  void send(std::shared_ptr<const v1::StreamRequest> message) override {
    {
      Lock lock(mutex_);
      if (!welcomed_) return;
      outgoing_.push_back(std::move(message));
    }
    changed_.notify_all();
  }

  std::vector<FromServer> take() override {
    Lock lock(mutex_);
    return std::exchange(incoming_, {});
  }

  void reconnect() override {
    {
      Lock lock(mutex_);
      reconnects_ = true;
      broken_ = true;
    }
    changed_.notify_all();
  }

  bool drained() const override {
    Lock lock(mutex_);
    return outgoing_.empty() && !writing_;
  }

 private:
  using Stream = grpc::ClientReaderWriter<v1::StreamRequest, v1::StreamResponse>;

  void run() {
    milliseconds backoff = kFirstBackoff;
    std::mt19937 random(std::random_device{}());
    while (!stopping()) {
      const bool worked = one_stream();
      backoff = worked ? kFirstBackoff : std::min(backoff * 2, kLongestBackoff);
      const milliseconds pause(
          std::uniform_int_distribution<int64_t>(backoff.count() / 2, backoff.count())(random));
      Lock lock(mutex_);
      changed_.wait_for(lock, pause, [this] { return stopping_; });
    }
  }

  // True: the server welcomed us.
  bool one_stream() {
    const auto material = credentials_.prepare(
        server_,
        [this](const auto& server, const std::string& authorities, const v1::EnrolRequest& request) {
          return call_enrol(server, authorities, request, [this](grpc::ClientContext* call) { begun(call); });
        },
        std::chrono::system_clock::now());
    if (!material) {
      Lock lock(mutex_);
      if (!stopping_) tell(lock, Disconnected{material.error().message});
      return false;
    }
    grpc::ClientContext context;
    {
      Lock lock(mutex_);
      context_ = &context;
      broken_ = reconnects_ = false;
      welcomed_ = false;
      heartbeat_ = kDefaultHeartbeat;
      heard_ = steady_clock::now();
    }
    auto stub = v1::AgentService::NewStub(channel_to(server_, *material));
    std::shared_ptr<Stream> stream = stub->Stream(&context);
    v1::StreamRequest first;
    *first.mutable_hello() = hello_();
    if (!stream->Write(first)) broken();
    std::thread reader([&] { read_all(*stream); });
    write_all(*stream);
    {
      // Where the server has ended it, its reason is on the way.
      Lock lock(mutex_);
      if (stopping_ || silent_ || reconnects_) context.TryCancel();
    }
    reader.join();
    const grpc::Status status = stream->Finish();
    Lock lock(mutex_);
    context_ = nullptr;
    const bool welcomed = welcomed_;
    welcomed_ = false;
    outgoing_.clear();
    if (!stopping_) tell(lock, Disconnected{reason(status)});
    return welcomed;
  }

  void begun(grpc::ClientContext* call) {
    Lock lock(mutex_);
    context_ = call;
    if (call && stopping_) call->TryCancel();
  }

  std::string reason(const grpc::Status& status) const {
    if (reconnects_) return "server " + server_.address + ": connecting anew with another certificate";
    if (silent_)
      return "the server " + server_.address + " has not answered for " + std::to_string(kSilentHeartbeats) +
             " heartbeats";
    std::string text = "server " + server_.address + ": " + status.error_message();
    if (status.error_message().find("handshake") != std::string::npos ||
        status.error_message().find("Ssl") != std::string::npos ||
        status.error_message().find("SSL") != std::string::npos)
      text += " (check --tls-ca, --tls-cert, --tls-key and the name in the server's certificate)";
    return text;
  }

  void read_all(Stream& stream) {
    v1::StreamResponse message;
    while (stream.Read(&message)) {
      Lock lock(mutex_);
      heard_ = steady_clock::now();
      if (message.has_welcome()) {
        welcomed_ = true;
        if (message.welcome().heartbeat_milliseconds() > 0)
          heartbeat_ = milliseconds(message.welcome().heartbeat_milliseconds());
        tell(lock, std::move(*message.mutable_welcome()));
      } else if (message.has_acknowledge()) {
        tell(lock, std::move(*message.mutable_acknowledge()));
      } else if (message.has_rule_sets()) {
        tell(lock, std::move(*message.mutable_rule_sets()));
      } else if (message.has_amendment()) {
        tell(lock, std::move(*message.mutable_amendment()));
      } else if (message.has_certificate()) {
        tell(lock, std::move(*message.mutable_certificate()));
      } else if (message.has_authorities()) {
        tell(lock, std::move(*message.mutable_authorities()));
      } else if (message.has_question()) {
        tell(lock, std::move(*message.mutable_question()));
      }
    }
    broken();
  }

  void write_all(Stream& stream) {
    uint64_t beat = 0;
    silent_ = false;
    Lock lock(mutex_);
    while (!broken_ && !stopping_) {
      if (outgoing_.empty()) {
        const bool woken = changed_.wait_for(lock, heartbeat_,
                                             [this] { return broken_ || stopping_ || !outgoing_.empty(); });
        silent_ = !broken_ && steady_clock::now() - heard_ > heartbeat_ * kSilentHeartbeats;
        if (silent_) return;
        if (woken) continue;
        auto message = std::make_shared<v1::StreamRequest>();
        message->mutable_heartbeat()->set_number(++beat);
        outgoing_.push_back(std::move(message));
      }
      const auto message = std::move(outgoing_.front());
      outgoing_.pop_front();
      writing_ = true;
      lock.unlock();
      const bool written = stream.Write(*message);
      lock.lock();
      writing_ = false;
      if (!written) broken_ = true;
    }
  }

  void broken() {
    {
      Lock lock(mutex_);
      broken_ = true;
    }
    changed_.notify_all();
  }

  void tell(Lock& lock, FromServer what) {
    incoming_.push_back(std::move(what));
    lock.unlock();
    notify_();
    lock.lock();
  }

  bool stopping() {
    Lock lock(mutex_);
    return stopping_;
  }

  const Credentials::Server server_;
  Credentials& credentials_;
  const MakeHello hello_;
  const Notify notify_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  grpc::ClientContext* context_ = nullptr;
  bool stopping_ = false;
  bool broken_ = false;
  bool reconnects_ = false;  // that is why it is broken
  bool welcomed_ = false;
  bool writing_ = false;
  bool silent_ = false;
  milliseconds heartbeat_ = kDefaultHeartbeat;
  steady_clock::time_point heard_;
  // Bounded by the window that the server gives: the main loop sends no more than that without
  // acknowledgement.
  std::deque<std::shared_ptr<const v1::StreamRequest>> outgoing_;
  std::vector<FromServer> incoming_;
  std::thread writer_;
};

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
    arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
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

Result<std::unique_ptr<ServerStream>> ServerStream::start(const Config& config, Credentials& credentials,
                                                          MakeHello hello, Notify notify) {
  return std::make_unique<GrpcStream>(config, credentials, std::move(hello), std::move(notify));
}

std::unique_ptr<Runtime> open_cri(const std::string& socket) {
  return std::make_unique<CriRuntime>("unix://" + socket_path(socket));
}

}  // namespace cellwall

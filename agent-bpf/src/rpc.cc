// SPDX-License-Identifier: Apache-2.0
#include "rpc.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>

#include "cellwall/v1/agent.grpc.pb.h"
#include "container_ports.h"
#include "cri/runtime/v1/api.grpc.pb.h"
#include "log.h"

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

Result<std::string> read_file(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno("read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Result<std::shared_ptr<grpc::ChannelCredentials>> make_credentials(const TlsFiles& files) {
  if (files.authority.empty()) return grpc::InsecureChannelCredentials();
  auto authority = read_file(files.authority), certificate = read_file(files.certificate),
       key = read_file(files.key);
  for (const auto* file : {&authority, &certificate, &key}) {
    if (!*file) return std::unexpected(file->error());
  }
  if (authority->find("BEGIN CERTIFICATE") == std::string::npos)
    return fail(files.authority + " holds no certificate in PEM form (--tls-ca)");
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = *authority;
  options.pem_cert_chain = *certificate;
  options.pem_private_key = *key;
  return grpc::SslCredentials(options);
}

class GrpcStream : public ServerStream {
 public:
  GrpcStream(const Config& config, std::shared_ptr<grpc::ChannelCredentials> credentials, MakeHello hello,
             Notify notify)
      : server_(config.server), hello_(std::move(hello)), notify_(std::move(notify)) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
    // Our own backoff, with jitter; gRPC's goes up to two minutes.
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kLongestBackoff.count());
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    if (!config.tls.server_name.empty()) arguments.SetSslTargetNameOverride(config.tls.server_name);
    channel_ = grpc::CreateCustomChannel(config.server, credentials, arguments);
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
    grpc::ClientContext context;
    {
      Lock lock(mutex_);
      context_ = &context;
      broken_ = false;
      welcomed_ = false;
      heartbeat_ = kDefaultHeartbeat;
      heard_ = steady_clock::now();
    }
    auto stub = v1::AgentService::NewStub(channel_);
    std::shared_ptr<Stream> stream = stub->Stream(&context);
    v1::StreamRequest first;
    *first.mutable_hello() = hello_();
    if (!stream->Write(first)) broken();
    std::thread reader([&] { read_all(*stream); });
    write_all(*stream);
    context.TryCancel();
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

  std::string reason(const grpc::Status& status) const {
    if (silent_)
      return "the server " + server_ + " has not answered for " + std::to_string(kSilentHeartbeats) +
             " heartbeats";
    std::string text = "server " + server_ + ": " + status.error_message();
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

  const std::string server_;
  const MakeHello hello_;
  const Notify notify_;
  std::shared_ptr<grpc::Channel> channel_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  grpc::ClientContext* context_ = nullptr;
  bool stopping_ = false;
  bool broken_ = false;
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

Result<std::unique_ptr<ServerStream>> ServerStream::start(const Config& config, MakeHello hello,
                                                          Notify notify) {
  auto credentials = make_credentials(config.tls);
  if (!credentials) return std::unexpected(credentials.error());
  return std::make_unique<GrpcStream>(config, *credentials, std::move(hello), std::move(notify));
}

std::unique_ptr<Runtime> open_cri(const std::string& socket) {
  return std::make_unique<CriRuntime>("unix://" + socket_path(socket));
}

}  // namespace cellwall

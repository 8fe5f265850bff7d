// SPDX-License-Identifier: Apache-2.0
#include "rpc.h"

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "cellwall/v1/agent.grpc.pb.h"
#include "rpc_channel.h"
#include "server_list.h"

namespace cellwall {
namespace {

using Lock = std::unique_lock<std::mutex>;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kSilentHeartbeats = 3;
constexpr milliseconds kDefaultHeartbeat{5000};
class GrpcStream : public ServerStream {
 public:
  GrpcStream(const Config& config, Credentials& credentials, MakeHello hello, Notify notify)
      : servers_(config.servers),
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

  // Called several times a second, so this is also where silence is noticed: a write to a server that does
  // not read any more never ends.
  std::vector<FromServer> take() override {
    Lock lock(mutex_);
    if (context_ && steady_clock::now() - heard_ > heartbeat_ * kSilentHeartbeats) {
      silent_ = true;
      context_->TryCancel();
    }
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

  std::string server() const override {
    Lock lock(mutex_);
    return server_.address;
  }

  bool drained() const override {
    Lock lock(mutex_);
    return outgoing_.empty() && !writing_;
  }

 private:
  using Stream = grpc::ClientReaderWriter<v1::StreamRequest, v1::StreamResponse>;

  void run() {
    Reconnect reconnect(servers_.size());
    while (!stopping()) {
      const bool welcomed = one_stream(servers_[reconnect.server()]);
      // Asked for, with another certificate: the server is as good as before.
      if (welcomed && reconnecting()) continue;
      const auto lasted = std::chrono::duration_cast<milliseconds>(steady_clock::now() - welcomed_at_);
      const milliseconds pause = reconnect.ended(welcomed, lasted);
      Lock lock(mutex_);
      changed_.wait_for(lock, pause, [this] { return stopping_; });
    }
  }

  // True: the server welcomed us.
  bool one_stream(const ServerAddress& server) {
    const auto material = credentials_.prepare(
        server,
        [this](const auto& to, const std::string& authorities, const v1::EnrolRequest& request) {
          return call_enrol(to, authorities, request, [this](grpc::ClientContext* call) { begun(call); });
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
      server_ = server;
      context_ = &context;
      silent_ = false;
      broken_ = reconnects_ = false;
      welcomed_ = false;
      heartbeat_ = kDefaultHeartbeat;
      heard_ = steady_clock::now();
    }
    auto stub = v1::AgentService::NewStub(channel_to(server, *material));
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
    heard_ = steady_clock::now();
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
        welcomed_at_ = heard_;
        if (message.welcome().heartbeat_milliseconds() > 0)
          heartbeat_ = milliseconds(message.welcome().heartbeat_milliseconds());
        tell(lock, std::move(*message.mutable_welcome()));
      } else if (message.has_acknowledge()) {
        tell(lock, std::move(*message.mutable_acknowledge()));
      } else if (message.has_rule_sets()) {
        tell(lock, std::move(*message.mutable_rule_sets()));
      } else if (message.has_amendment()) {
        tell(lock, std::move(*message.mutable_amendment()));
      } else if (message.has_difference()) {
        tell(lock, std::move(*message.mutable_difference()));
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
    Lock lock(mutex_);
    auto next_beat = steady_clock::now() + heartbeat_;
    while (!broken_ && !stopping_) {
      changed_.wait_until(lock, next_beat, [this] { return broken_ || stopping_ || !outgoing_.empty(); });
      if (broken_ || stopping_) return;
      // Whatever else is sent: nothing else is sure to be answered.
      if (const auto now = steady_clock::now(); now >= next_beat) {
        auto message = std::make_shared<v1::StreamRequest>();
        message->mutable_heartbeat()->set_number(++beat);
        outgoing_.push_back(std::move(message));
        next_beat = now + heartbeat_;
      }
      if (outgoing_.empty()) continue;
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

  bool reconnecting() {
    Lock lock(mutex_);
    return reconnects_;
  }

  const std::vector<ServerAddress> servers_;
  Credentials& credentials_;
  const MakeHello hello_;
  const Notify notify_;
  ServerAddress server_;  // of this stream, or of the last
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
  steady_clock::time_point heard_, welcomed_at_;
  // Bounded by the window that the server gives: the main loop sends no more than that without
  // acknowledgement.
  std::deque<std::shared_ptr<const v1::StreamRequest>> outgoing_;
  std::vector<FromServer> incoming_;
  std::thread writer_;
};

}  // namespace

Result<std::unique_ptr<ServerStream>> ServerStream::start(const Config& config, Credentials& credentials,
                                                          MakeHello hello, Notify notify) {
  return std::make_unique<GrpcStream>(config, credentials, std::move(hello), std::move(notify));
}

}  // namespace cellwall

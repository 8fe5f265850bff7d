// SPDX-License-Identifier: Apache-2.0
//
// The stream to the server. rpc.cc, rpc_channel.cc and cri.cc are the files that know gRPC.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "cellwall/v1/agent.pb.h"
#include "config.h"
#include "result.h"
#include "runtime.h"

namespace cellwall {

struct Disconnected {
  std::string reason;
};

// What the stream tells the main loop, in order.
using FromServer =
    std::variant<v1::Welcome, v1::Acknowledge, v1::RuleSetUpdate, v1::RuleSetAmendment, v1::RuleSetDifference,
                 v1::Question, v1::IssuedCertificate, v1::Authorities, Disconnected>;

class ServerStream {
 public:
  // Called from the stream's threads whenever take() has something.
  using Notify = std::function<void()>;
  // The first message of each stream; called from the stream's thread.
  using MakeHello = std::function<v1::Hello()>;

  // credentials: outlives the stream.
  static Result<std::unique_ptr<ServerStream>> start(const Config& config, Credentials& credentials,
                                                     MakeHello hello, Notify notify);
  virtual ~ServerStream() = default;  // ends the stream

  // Waits until it can be written; forgotten when the stream breaks, as Disconnected tells.
  virtual void send(std::shared_ptr<const v1::StreamRequest> message) = 0;
  virtual std::vector<FromServer> take() = 0;  // to be called several times a second
  virtual void reconnect() = 0;                // with what the credentials say by now
  virtual std::string server() const = 0;      // the one of the list that is spoken to, or was last
  virtual bool drained() const = 0;            // all that was given to send() was written
};

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
//
// For rpc.cc: channels to a server, and the call of an agent that has none to show yet.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>

#include "credentials.h"

namespace cellwall {

// A new one for each attempt: when to try again is ours to say, and certificates change.
std::shared_ptr<grpc::Channel> channel_to(const Credentials::Server& server, const TlsMaterial& material);

// begun: called with the context of the call, for who wants to cancel it, and with nullptr at its end.
Result<v1::EnrolResponse> call_enrol(const Credentials::Server& server, const std::string& authorities,
                                     const v1::EnrolRequest& request,
                                     const std::function<void(grpc::ClientContext*)>& begun);

}  // namespace cellwall

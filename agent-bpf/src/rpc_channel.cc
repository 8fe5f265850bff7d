// SPDX-License-Identifier: Apache-2.0
#include "rpc_channel.h"

#include <chrono>

#include "cellwall/v1/enrolment.grpc.pb.h"

namespace cellwall {
namespace {

// The rule sets of a node: 100,000 networks are some 3 MB.
constexpr int kMaxMessageBytes = 64 << 20;
constexpr std::chrono::seconds kEnrolDeadline{10};

}  // namespace

std::shared_ptr<grpc::Channel> channel_to(const Credentials::Server& server, const TlsMaterial& material) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (!server.tls_name.empty()) arguments.SetSslTargetNameOverride(server.tls_name);
  if (material.authorities.empty())
    return grpc::CreateCustomChannel(server.address, grpc::InsecureChannelCredentials(), arguments);
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = material.authorities;
  options.pem_cert_chain = material.certificate;
  options.pem_private_key = material.key;
  return grpc::CreateCustomChannel(server.address, grpc::SslCredentials(options), arguments);
}

Result<v1::EnrolResponse> call_enrol(const Credentials::Server& server, const std::string& authorities,
                                     const v1::EnrolRequest& request,
                                     const std::function<void(grpc::ClientContext*)>& begun) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kEnrolDeadline);
  auto stub = v1::EnrolmentService::NewStub(
      channel_to(server, {.authorities = authorities, .certificate = "", .key = ""}));
  v1::EnrolResponse response;
  begun(&context);
  const grpc::Status status = stub->Enrol(&context, request, &response);
  begun(nullptr);
  if (!status.ok()) return fail(status.error_message());
  return response;
}

}  // namespace cellwall

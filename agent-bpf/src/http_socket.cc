// SPDX-License-Identifier: Apache-2.0
#include "http_socket.h"

#include <httplib.h>

namespace cellwall {
namespace {

using std::chrono::steady_clock;

// As for the answers of the CRI: some 50,000 containers.
constexpr size_t kMostBytes = 64 << 20;

}  // namespace

Result<HttpAnswer> http_get(const std::string& socket, const std::string& path,
                            std::chrono::milliseconds deadline) {
  const auto until = steady_clock::now() + deadline;
  httplib::Client client(socket, 80);
  client.set_address_family(AF_UNIX);
  client.set_connection_timeout(deadline);
  client.set_read_timeout(deadline);
  client.set_write_timeout(deadline);
  HttpAnswer answer = {};
  bool late = false;
  // The library would name the socket's path as the host, which servers refuse.
  const auto result = client.Get(
      path, {{"Host", "localhost"}, {"Connection", "close"}},
      [&](const httplib::Response& response) {
        answer.status = response.status;
        return true;
      },
      [&](const char* data, size_t length) {
        late = steady_clock::now() > until;  // its time-outs are per read
        if (late || answer.body.size() + length > kMostBytes) return false;
        answer.body.append(data, length);
        return true;
      });
  if (result) return answer;
  const std::string where = "GET " + path + " from " + socket + ": ";
  if (late || (result.error() == httplib::Error::Read && steady_clock::now() >= until))
    return fail(where + "no answer within " + std::to_string(deadline.count()) + " ms");
  if (result.error() == httplib::Error::Canceled)
    return fail(where + "an answer of more than " + std::to_string(kMostBytes >> 20) + " MiB");
  if (result.error() == httplib::Error::Connection)
    return fail(where + "nobody listens, or we may not connect");
  return fail(where + httplib::to_string(result.error()));
}

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
//
// Requests and responses of 64 bytes.
#pragma once

#include <functional>
#include <string>

namespace cellwall::test {

constexpr int kRoundTrips = 3000;

// All of these give nanoseconds of processor time for one round trip, of both ends together, and end the
// program when a round trip fails.

// The client in the cgroup, empty: in none of ours. The listening socket, and so the accepted one, belongs to
// no container. Both ends in one thread: no time but that of the network stack, so the worst case.
double turns_ns(const std::string& cgroup);
// The server in a process of its own, as services have.
double server_ns(const std::string& cgroup);
// The same over TCP, or over UDP with a socket that is not connected (SOCK_STREAM, SOCK_DGRAM), at an IPv4
// address, with a client that runs as run says.
using RunClient = std::function<int(const std::function<int()>& work)>;
double server_ns(int type, const std::string& address, const RunClient& run);

// What ends the program when a client's work has failed.
void must_be_zero(int code);

}  // namespace cellwall::test

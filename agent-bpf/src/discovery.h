// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "result.h"

namespace cellwall {

// Asks the server for its certificates by a TLS handshake, after which nothing is sent, and returns the
// authority (PEM) whose public key has this SHA-256 (hex), if that has signed the server's certificate for
// this name. server: HOST:PORT. name: empty: the host.
Result<std::string> discover_authority(const std::string& server, const std::string& name,
                                       const std::string& key_hash);

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
//
// Keys, requests and certificates, as the agent makes and reads them. Keys are on P-256.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "result.h"

namespace cellwall {

using WallTime = std::chrono::system_clock::time_point;

struct CertificateFacts {
  WallTime from, ends;
};

Result<std::string> make_key();  // PEM
// DER of PKCS #10: the subject is CN=node and nothing else.
Result<std::string> make_certificate_request(const std::string& key, const std::string& node);
// Of the first certificate in PEM.
Result<CertificateFacts> read_certificate(const std::string& chain);
// The first certificate in PEM is for this key.
bool belongs_to(const std::string& chain, const std::string& key);
// SHA-256 of each certificate in PEM, in hex.
std::vector<std::string> fingerprints(const std::string& certificates);

std::string time_text(WallTime time);  // 2026-01-02T03:04:05Z

}  // namespace cellwall

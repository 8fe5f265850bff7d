// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "openssl.h"

namespace cellwall {

// Signs what it is asked to, as the server's authority does.
class TestAuthority {
 public:
  TestAuthority();
  std::string pem() const;
  // The certificate, then that of the authority.
  std::string sign(const std::string& pkcs10, std::chrono::seconds life) const;

 private:
  Key key_;
  Certificate certificate_;
};

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
#include "in_namespace.h"

#include <sched.h>

#include <thread>

namespace cellwall {

Result<void> in_namespace(const Fd& network_namespace, const std::string& name,
                          const std::function<Result<void>()>& work) {
  Result<void> done;
  std::thread([&] {
    if (setns(network_namespace.get(), CLONE_NEWNET) != 0)
      done = fail_errno("enter the network namespace " + name + " (CAP_SYS_ADMIN is needed)");
    else
      done = work();
  }).join();
  return done;
}

}  // namespace cellwall

// SPDX-License-Identifier: Apache-2.0
//
// Sockets below the attach point, found by iterators over the files of all tasks.
#pragma once

#include "bpf_owners.h"
#include "kernel.h"
#include "result.h"

namespace cellwall {

class SocketIterators {
 public:
  struct Programs {
    bpf_program* open_flows;
    bpf_program* refused_flows;  // left out where the kernel did not take it
  };

  static Result<SocketIterators> attach(const Programs& programs);

  Result<OpenSockets> open() const;
  // See Kernel::cut_refused.
  Result<size_t> cut_refused() const;

 private:
  LinkOwner open_flows_;
  LinkOwner refused_flows_;
};

}  // namespace cellwall

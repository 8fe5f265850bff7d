// SPDX-License-Identifier: Apache-2.0
#include "store_binding.h"

#include <utility>

namespace cellwall {

StoreBinding::StoreBinding(std::string file, std::string accepted)
    : file_(std::move(file)), accepted_(std::move(accepted)), bound_(file_.load().value_or("")) {}

Result<bool> StoreBinding::welcome(const std::string& store, const std::string& enrolled) {
  current_.clear();
  if (!bound_.empty() && store != bound_ && (store.empty() || (store != accepted_ && store != enrolled)))
    return fail("the server has another store (" + (store.empty() ? "without an id" : store) +
                ") than the one that the policy of this node is from (" + bound_ +
                "): its rule sets are refused, and what is in force stays. If the server's data was lost or "
                "replaced on "
                "purpose, start this agent once with --accept-store " +
                (store.empty() ? "ID" : store) + ", or enrol it anew with a join token");
  current_ = store;
  return !bound_.empty() && store != bound_;
}

Result<void> StoreBinding::applied() {
  if (current_.empty() || current_ == bound_) return {};
  if (auto ok = file_.save(current_); !ok) return ok;
  bound_ = current_;
  return {};
}

}  // namespace cellwall

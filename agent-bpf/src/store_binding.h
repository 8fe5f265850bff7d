// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "result.h"
#include "state_file.h"

namespace cellwall {

// Generations count within one store of a server. Which one the rule sets in force are of is kept beside
// them, so that those of another store, which may be an old one that somebody replays, are taken only when
// somebody says so.
class StoreBinding {
 public:
  // accepted: what --accept-store says; empty: nothing.
  StoreBinding(std::string file, std::string accepted);

  // The server has said which store it has. enrolled: that this agent was enrolled with by a join token, on
  // purpose. True: its rule sets may come in any order of generations, since it is another one than before.
  Result<bool> welcome(const std::string& store, const std::string& enrolled);
  // Rule sets of the store that was welcomed are in force.
  Result<void> applied();

 private:
  const StateFile file_;
  const std::string accepted_;
  std::string bound_, current_;
};

}  // namespace cellwall

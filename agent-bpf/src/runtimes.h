// SPDX-License-Identifier: Apache-2.0
//
// All runtimes of this node, each asked on a thread of its own: one that hangs keeps neither the main loop
// nor another runtime waiting.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kernel.h"
#include "runtime.h"

namespace cellwall {

inline constexpr char kAutoSocket[] = "auto";

using OpenRuntime = std::function<std::unique_ptr<Runtime>(const std::string& socket)>;

struct RuntimeSource {
  std::string name;                  // for people: "CRI"
  std::string option;                // "--cri-socket"
  std::vector<std::string> sockets;  // the first that is there is asked
  bool required = false;             // the user named it: that it is not there is an error
  OpenRuntime open;
};

struct RuntimeSockets {
  std::string cri, docker, podman;  // a path, unix:///path, "auto", or empty: not asked
};
std::vector<RuntimeSource> runtime_sources(const RuntimeSockets& sockets, OpenRuntime open_cri);

// One answer, or why there is none.
struct Listing {
  std::string source;
  std::string option;
  std::string socket;  // empty: none of its sockets is there
  bool speaks = true;
  Result<RuntimeContainers> containers;
};

// What naming is like here, as the listings tell.
std::vector<Ability> naming_abilities(const std::vector<Listing>& listings);

class Runtimes {
 public:
  // Called from the threads whenever take() has something.
  using Notify = std::function<void()>;

  Runtimes(std::vector<RuntimeSource> sources, std::chrono::milliseconds deadline, Notify notify);
  ~Runtimes();  // waits for questions under way, so for the deadline at most

  // Asks all. One that is being asked is asked once more after that: what was born since is in the second
  // answer.
  void ask();
  std::vector<Listing> take();
  // Until all have answered what was asked, or given up.
  void wait(std::chrono::milliseconds longest);

 private:
  struct Asked {
    RuntimeSource source;
    bool wanted = false;
    bool busy = false;
    std::thread thread;
  };
  void run(Asked& asked);
  bool all_answered() const;

  const std::chrono::milliseconds deadline_;
  const Notify notify_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::list<Asked> asked_;
  std::vector<Listing> listings_;  // at most one for each time that the main loop asked
};

}  // namespace cellwall

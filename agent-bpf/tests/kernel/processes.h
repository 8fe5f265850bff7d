// SPDX-License-Identifier: Apache-2.0
//
// Child processes of the kernel tests. None outlives the test process, and none runs for longer than
// kChildSeconds, so that a test which waits for one ends.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

namespace cellwall::test {

constexpr unsigned kChildSeconds = 60;

// A byte from one process to another.
class Signal {
 public:
  Signal();
  ~Signal();
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  void give();
  // False: nobody gave it in time. In an emulated machine programs take 10 s to load.
  bool wait(int seconds = kChildSeconds / 2);

 private:
  int ends_[2];
};

// Runs work in a child process that is in the cgroup, beside the test.
class Child {
 public:
  Child(const std::string& cgroup, const std::function<int()>& work);
  ~Child();  // kills it, if it still runs
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  // Waits until work has returned. 254: it could not join the cgroup, 255: it was killed.
  int join();

 private:
  pid_t pid_;
  int code_ = 255;
};

// Runs work in a child and waits for it.
int run_in(const std::string& cgroup, const std::function<int()>& work);
// Runs attempt again and again in a child of the cgroup, until work in this process has returned. Returns how
// many attempts gave false; *attempts says how many there were.
int fails_while(const std::string& cgroup, const std::function<bool()>& attempt,
                const std::function<void()>& work, int* attempts);

}  // namespace cellwall::test
